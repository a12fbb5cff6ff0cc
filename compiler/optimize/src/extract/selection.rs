//! Persistent maps from classes to chosen nodes.
//!
//! A treap whose priorities are a hash of the class, so that equal selections have equal shape however they came about.
//! The selections below neighbouring classes share nearly all of their nodes; a union visits only where they differ, so
//! that a chain of n classes takes O(n log n) time and memory in all.

use super::problem::{Choice, Class};
use hec_ir::entity::Entity;
use std::rc::Rc;

type Link = Option<Rc<Node>>;

/// A chosen node.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Entry {
    class: Class,
    choice: usize,
    /// Depth of the graph below, this node included.
    depth: u32,
    work: u64,
    error: f64,
}

#[derive(Debug)]
struct Node {
    entry: Entry,
    priority: u64,
    /// Sums over the subtree.
    work: u64,
    error: f64,
    left: Link,
    right: Link,
}

/// One node for each class that a class needs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection(Link);

impl Selection {
    /// Work of all nodes, each counted once.
    pub(crate) fn work(&self) -> u64 {
        work(&self.0)
    }

    /// Error of all nodes, each counted once.
    pub(crate) fn error(&self) -> f64 {
        error(&self.0)
    }

    /// The chosen node of a class.
    pub(crate) fn get(&self, class: Class) -> Option<usize> {
        let mut link = &self.0;
        while let Some(node) = link {
            link = match class.cmp(&node.entry.class) {
                std::cmp::Ordering::Less => &node.left,
                std::cmp::Ordering::Greater => &node.right,
                std::cmp::Ordering::Equal => return Some(node.entry.choice),
            };
        }
        None
    }

    /// With one more class.
    pub(crate) fn with(&self, class: Class, position: usize, choice: &Choice, depth: u32) -> Selection {
        let (work, error) = (choice.cost.work, choice.cost.error);
        let entry = Entry { class, choice: position, depth, work, error };
        Selection(union(&self.0, &Some(node(entry, None, None))))
    }

    /// Both. Where they disagree the node with the shallower graph is taken, the first one's if they are equal. So depths
    /// never grow, and the result is closed and has no cycle if both have none: along a cycle all depths would be equal, so
    /// all of its nodes would be of one side.
    pub(crate) fn union(&self, other: &Selection) -> Selection {
        Selection(union(&self.0, &other.0))
    }
}

fn work(link: &Link) -> u64 {
    link.as_ref().map_or(0, |n| n.work)
}

fn error(link: &Link) -> f64 {
    link.as_ref().map_or(0.0, |n| n.error)
}

fn node(entry: Entry, left: Link, right: Link) -> Rc<Node> {
    let total = entry.work + work(&left) + work(&right);
    let errors = entry.error + error(&left) + error(&right);
    Rc::new(Node { entry, priority: priority(entry.class), work: total, error: errors, left, right })
}

/// Different for different classes (the finaliser of SplitMix64, which is a bijection).
fn priority(class: Class) -> u64 {
    let mut z = (class.index() as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn same(a: &Link, b: &Link) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => Rc::ptr_eq(a, b),
        _ => false,
    }
}

/// The node with this entry and these subtrees: `old` itself if nothing about it changes.
fn renew(old: &Rc<Node>, entry: Entry, left: Link, right: Link) -> Rc<Node> {
    if old.entry == entry && same(&old.left, &left) && same(&old.right, &right) {
        return Rc::clone(old);
    }
    node(entry, left, right)
}

fn union(a: &Link, b: &Link) -> Link {
    let (x, y) = match (a, b) {
        (None, other) | (other, None) => return other.clone(),
        (Some(x), Some(y)) => (x, y),
    };
    if Rc::ptr_eq(x, y) {
        return a.clone();
    }
    Some(match x.priority.cmp(&y.priority) {
        std::cmp::Ordering::Equal => {
            let (left, right) = (union(&x.left, &y.left), union(&x.right, &y.right));
            let shallower = if y.entry.depth < x.entry.depth { y } else { x };
            renew(shallower, shallower.entry, left, right)
        }
        std::cmp::Ordering::Greater => {
            let (left, right) = split(b, x.entry.class);
            renew(x, x.entry, union(&x.left, &left), union(&x.right, &right))
        }
        std::cmp::Ordering::Less => {
            let (left, right) = split(a, y.entry.class);
            renew(y, y.entry, union(&left, &y.left), union(&right, &y.right))
        }
    })
}

/// The classes before and after one that is not there.
fn split(link: &Link, at: Class) -> (Link, Link) {
    let Some(x) = link else { return (None, None) };
    if x.entry.class < at {
        let (left, right) = split(&x.right, at);
        (Some(renew(x, x.entry, x.left.clone(), left)), right)
    } else {
        let (left, right) = split(&x.left, at);
        (left, Some(renew(x, x.entry, right, x.right.clone())))
    }
}
