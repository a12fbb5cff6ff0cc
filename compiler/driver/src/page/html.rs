//! HTML in the making: every element that is opened is closed, and every text is escaped.

use std::fmt::Display;

/// Elements without content or end tag.
const VOID: [&str; 2] = ["meta", "link"];
/// Elements after which a line ends, so that the source can be read.
const LINES: [&str; 18] = [
    "meta", "link", "title", "style", "head", "header", "section", "h1", "h2", "p", "tr", "table", "div", "figure",
    "svg", "g", "li", "footer",
];

/// A page or a part of one.
#[derive(Debug, Default)]
pub(super) struct Html(String);

/// Attributes of an element, with their values.
pub(super) type Attributes<'a> = &'a [(&'a str, &'a str)];

impl Html {
    pub fn new() -> Self {
        Html::default()
    }

    /// A whole document with what was made so far in it.
    pub fn document(self) -> String {
        format!("<!DOCTYPE html>\n{}\n", self.0)
    }

    /// An element with its content.
    pub fn element(&mut self, name: &str, attributes: Attributes<'_>, content: impl FnOnce(&mut Html)) {
        self.open(name, attributes);
        content(self);
        if !VOID.contains(&name) {
            self.0.push_str(&format!("</{name}>"));
        }
        if LINES.contains(&name) {
            self.0.push('\n');
        }
    }

    /// An element without content.
    pub fn empty(&mut self, name: &str, attributes: Attributes<'_>) {
        self.element(name, attributes, |_| ());
    }

    /// An element that holds a text.
    pub fn leaf(&mut self, name: &str, attributes: Attributes<'_>, text: impl Display) {
        self.element(name, attributes, |h| h.text(text));
    }

    /// Text.
    pub fn text(&mut self, text: impl Display) {
        escape(&mut self.0, &text.to_string());
    }

    /// A style sheet; the page's own, which holds nothing to escape.
    pub fn style(&mut self, sheet: &str) {
        self.element("style", &[], |h| h.0.push_str(sheet));
    }

    fn open(&mut self, name: &str, attributes: Attributes<'_>) {
        self.0.push('<');
        self.0.push_str(name);
        for (key, value) in attributes {
            self.0.push_str(&format!(" {key}=\""));
            escape(&mut self.0, value);
            self.0.push('"');
        }
        self.0.push('>');
    }
}

/// What has a meaning in HTML or ends an attribute is written as an entity; control characters are left out.
fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() && c != '\n' => {}
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_cannot_break_out() {
        let mut html = Html::new();
        html.element("p", &[("title", "a \"b\" <c>")], |h| h.text("<script>&'\u{1}"));
        assert_eq!(html.0, "<p title=\"a &quot;b&quot; &lt;c&gt;\">&lt;script&gt;&amp;&#39;</p>\n");
    }

    #[test]
    fn elements_are_closed_in_order() {
        let mut html = Html::new();
        html.element("b", &[], |h| h.element("i", &[], |h| h.empty("meta", &[])));
        assert_eq!(html.0, "<b><i><meta>\n</i></b>");
    }
}
