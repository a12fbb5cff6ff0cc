//! Choice of one value for each variable such that a sum of cost tables is least.
//!
//! Variable elimination (Bertelè and Brioschi 1972): a variable is removed by minimising over it for every assignment
//! of its neighbours. Exact, and cheap on networks that are chains with shortcuts.

/// Above this size of a table, the choice becomes a heuristic: one variable is fixed where it costs least by itself.
const MAX_TABLE: usize = 1 << 22;

/// Costs of the assignments of some variables, the last variable fastest.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// Distinct.
    pub(crate) variables: Vec<usize>,
    pub(crate) costs: Vec<f64>,
}

impl Table {
    /// The cost of an assignment of all variables.
    pub(crate) fn at(&self, assignment: &[usize], sizes: &[usize]) -> f64 {
        self.costs[self.variables.iter().fold(0, |at, &v| at * sizes[v] + assignment[v])]
    }
}

/// A variable that was removed: how it follows from its neighbours.
struct Removed {
    variable: usize,
    neighbours: Vec<usize>,
    choice: Vec<usize>,
}

/// The assignment of least cost. Ties go to smaller values, so the result is the same everywhere.
pub(crate) fn minimise(sizes: &[usize], tables: &[Table]) -> Vec<usize> {
    let mut tables = tables.to_vec();
    let mut open: Vec<usize> = (0..sizes.len()).collect();
    let mut removed = Vec::new();
    let mut assignment = vec![0; sizes.len()];
    // Variables that were fixed count as having the size 1.
    let mut fixed = vec![false; sizes.len()];
    while !open.is_empty() {
        let room = |v: usize| -> usize {
            let product = |p: usize, &u: &usize| p.saturating_mul(if fixed[u] { 1 } else { sizes[u] });
            neighbours(v, &tables).iter().fold(1, product)
        };
        let position = (0..open.len()).min_by_key(|&i| room(open[i])).unwrap_or(0);
        if room(open[position]) > MAX_TABLE {
            let most = open
                .iter()
                .copied()
                .filter(|&v| !fixed[v])
                .max_by_key(|&v| (neighbours(v, &tables).len(), usize::MAX - v));
            if let Some(v) = most {
                assignment[v] = alone(v, &tables, sizes);
                fixed[v] = true;
                open.retain(|&u| u != v);
                condition(v, &assignment, sizes, &mut tables);
                continue;
            }
        }
        let variable = open.remove(position);
        let (entry, message) = remove(variable, sizes, &mut tables, &mut assignment);
        removed.push(entry);
        tables.push(message);
    }
    for entry in removed.iter().rev() {
        let at = entry.neighbours.iter().fold(0, |at, &v| at * sizes[v] + assignment[v]);
        assignment[entry.variable] = entry.choice[at];
    }
    assignment
}

fn neighbours(variable: usize, tables: &[Table]) -> Vec<usize> {
    let touching = tables.iter().filter(|t| t.variables.contains(&variable));
    let mut all: Vec<usize> = touching.flat_map(|t| t.variables.iter().copied()).filter(|&v| v != variable).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Minimise over a variable; gives the rule to recover it and the table that takes its place.
fn remove(variable: usize, sizes: &[usize], tables: &mut Vec<Table>, assignment: &mut [usize]) -> (Removed, Table) {
    let around = neighbours(variable, tables);
    let touching: Vec<Table> = tables.extract_if(.., |t| t.variables.contains(&variable)).collect();
    let total: usize = around.iter().map(|&v| sizes[v]).product();
    let (mut costs, mut choice) = (Vec::with_capacity(total), Vec::with_capacity(total));
    for at in 0..total {
        let mut rest = at;
        for &v in around.iter().rev() {
            assignment[v] = rest % sizes[v];
            rest /= sizes[v];
        }
        let mut best = (f64::INFINITY, 0);
        for value in 0..sizes[variable] {
            assignment[variable] = value;
            let cost = touching.iter().map(|t| t.at(assignment, sizes)).sum();
            if cost < best.0 {
                best = (cost, value);
            }
        }
        costs.push(best.0);
        choice.push(best.1);
    }
    (Removed { variable, neighbours: around.clone(), choice }, Table { variables: around, costs })
}

/// The value whose least possible cost is least.
fn alone(variable: usize, tables: &[Table], sizes: &[usize]) -> usize {
    let mut least = vec![0.0; sizes[variable]];
    for table in tables {
        let Some(position) = table.variables.iter().position(|&v| v == variable) else { continue };
        let inner: usize = table.variables[position + 1..].iter().map(|&v| sizes[v]).product();
        let mut own = vec![f64::INFINITY; sizes[variable]];
        for (at, &cost) in table.costs.iter().enumerate() {
            let value = at / inner % sizes[variable];
            own[value] = cost.min(own[value]);
        }
        least.iter_mut().zip(own).for_each(|(l, o)| *l += o);
    }
    (0..least.len()).min_by(|&a, &b| least[a].total_cmp(&least[b])).unwrap_or(0)
}

/// Drop a fixed variable from all tables.
fn condition(variable: usize, assignment: &[usize], sizes: &[usize], tables: &mut [Table]) {
    for table in tables.iter_mut() {
        let Some(position) = table.variables.iter().position(|&v| v == variable) else { continue };
        let inner: usize = table.variables[position + 1..].iter().map(|&v| sizes[v]).product();
        let chosen = |at: &(usize, &f64)| at.0 / inner % sizes[variable] == assignment[variable];
        table.costs = table.costs.iter().enumerate().filter(chosen).map(|(_, &c)| c).collect();
        table.variables.remove(position);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compare with all assignments, on a ring of five variables with a chord.
    #[test]
    fn the_least_cost_is_found() {
        let sizes = [2, 3, 4, 2, 3];
        let pairs = [(0, 1), (1, 2), (2, 3), (3, 4), (0, 4), (1, 3)];
        let cost = |i: usize| ((i * 7919 + 13) % 97) as f64;
        let tables: Vec<Table> = pairs
            .iter()
            .enumerate()
            .map(|(k, &(a, b))| Table {
                variables: vec![a, b],
                costs: (0..sizes[a] * sizes[b]).map(|i| cost(100 * k + i)).collect(),
            })
            .collect();
        let total = |a: &[usize]| tables.iter().map(|t| t.at(a, &sizes)).sum::<f64>();
        let all = (0..sizes.iter().product::<usize>())
            .map(|mut at| sizes.iter().map(|&s| (at % s, at /= s).0).collect::<Vec<_>>());
        let least = all.map(|a| total(&a)).fold(f64::INFINITY, f64::min);
        assert_eq!(total(&minimise(&sizes, &tables)), least);
    }
}
