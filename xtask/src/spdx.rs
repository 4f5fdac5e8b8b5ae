//! SPDX licence expressions: read, and held against what is permitted.
//!
//! `AND` binds more tightly than `OR`, and `WITH` more tightly than both, as the SPDX specification has
//! it. A licence with an exception is a licence of its own: to permit `Apache-2.0` says nothing about
//! `Apache-2.0 WITH LLVM-exception`. The slash that crates wrote before Cargo took SPDX means `OR`.

use std::fmt;

/// A licence expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expression {
    /// An identifier, with its exception if it has one: `MIT`, `GPL-2.0 WITH Classpath-exception-2.0`.
    Licence(String),
    All(Vec<Expression>),
    Any(Vec<Expression>),
}

/// Why a text is no licence expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SpdxError {
    #[error("a licence is expected at the end of `{0}`")]
    Ends(String),
    #[error("`{found}` stands where a licence is expected in `{text}`")]
    NoLicence { found: String, text: String },
    #[error("`{found}` stands where AND, OR or the end is expected in `{text}`")]
    NoOperator { found: String, text: String },
    #[error("a parenthesis is left open in `{0}`")]
    LeftOpen(String),
}

impl Expression {
    pub(crate) fn parse(text: &str) -> Result<Expression, SpdxError> {
        let spaced = text
            .replace('(', " ( ")
            .replace(')', " ) ")
            .replace('/', " OR ");
        let mut parser = Parser {
            text,
            tokens: spaced.split_whitespace().collect(),
            next: 0,
        };
        let expression = parser.any()?;
        match parser.peek() {
            None => Ok(expression),
            Some(found) => Err(SpdxError::NoOperator {
                found: found.to_owned(),
                text: text.to_owned(),
            }),
        }
    }

    /// Whether the licences that are permitted are enough.
    pub(crate) fn is_met_by(&self, permitted: &dyn Fn(&str) -> bool) -> bool {
        match self {
            Expression::Licence(licence) => permitted(licence),
            Expression::All(parts) => parts.iter().all(|part| part.is_met_by(permitted)),
            Expression::Any(parts) => parts.iter().any(|part| part.is_met_by(permitted)),
        }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (parts, operator) = match self {
            Expression::Licence(licence) => return formatter.write_str(licence),
            Expression::All(parts) => (parts, "AND"),
            Expression::Any(parts) => (parts, "OR"),
        };
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                write!(formatter, " {operator} ")?;
            }
            match part {
                Expression::Licence(licence) => formatter.write_str(licence)?,
                nested => write!(formatter, "({nested})")?,
            }
        }
        Ok(())
    }
}

struct Parser<'text> {
    text: &'text str,
    tokens: Vec<&'text str>,
    next: usize,
}

impl<'text> Parser<'text> {
    fn peek(&self) -> Option<&'text str> {
        self.tokens.get(self.next).copied()
    }

    /// Takes the next token if it is this one.
    fn take(&mut self, token: &str) -> bool {
        let is_next = self.peek() == Some(token);
        if is_next {
            self.next += 1;
        }
        is_next
    }

    fn any(&mut self) -> Result<Expression, SpdxError> {
        let mut parts = vec![self.all()?];
        while self.take("OR") {
            parts.push(self.all()?);
        }
        Ok(single_or(parts, Expression::Any))
    }

    fn all(&mut self) -> Result<Expression, SpdxError> {
        let mut parts = vec![self.one()?];
        while self.take("AND") {
            parts.push(self.one()?);
        }
        Ok(single_or(parts, Expression::All))
    }

    fn one(&mut self) -> Result<Expression, SpdxError> {
        if self.take("(") {
            let inner = self.any()?;
            if !self.take(")") {
                return Err(SpdxError::LeftOpen(self.text.to_owned()));
            }
            return Ok(inner);
        }
        let mut licence = self.identifier()?.to_owned();
        if self.take("WITH") {
            licence.push_str(" WITH ");
            licence.push_str(self.identifier()?);
        }
        Ok(Expression::Licence(licence))
    }

    fn identifier(&mut self) -> Result<&'text str, SpdxError> {
        let found = self
            .peek()
            .ok_or_else(|| SpdxError::Ends(self.text.to_owned()))?;
        if matches!(found, "AND" | "OR" | "WITH" | "(" | ")") {
            return Err(SpdxError::NoLicence {
                found: found.to_owned(),
                text: self.text.to_owned(),
            });
        }
        self.next += 1;
        Ok(found)
    }
}

fn single_or(
    mut parts: Vec<Expression>,
    join: impl FnOnce(Vec<Expression>) -> Expression,
) -> Expression {
    if parts.len() == 1 {
        parts.remove(0)
    } else {
        join(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn met(expression: &str, permitted: &[&str]) -> bool {
        Expression::parse(expression)
            .expect("the expression is well formed")
            .is_met_by(&|licence| permitted.contains(&licence))
    }

    #[test]
    fn operators_bind_as_the_specification_says() {
        for (expression, permitted, expect) in [
            ("MIT", &["MIT"][..], true),
            ("MIT", &["ISC"], false),
            ("MIT OR GPL-3.0-only", &["MIT"], true),
            ("MIT AND GPL-3.0-only", &["MIT"], false),
            ("MIT/Apache-2.0", &["Apache-2.0"], true),
            ("Apache-2.0 / MIT", &["MIT"], true),
            // AND first: (ISC AND GPL) OR MIT, and MIT OR (GPL AND ISC).
            ("ISC AND GPL-3.0-only OR MIT", &["MIT"], true),
            ("MIT OR GPL-3.0-only AND ISC", &["MIT"], true),
            ("ISC AND (GPL-3.0-only OR MIT)", &["MIT"], false),
            ("ISC AND (GPL-3.0-only OR MIT)", &["MIT", "ISC"], true),
            ("((MIT))", &["MIT"], true),
            ("(MIT OR ISC)AND(Zlib)", &["ISC", "Zlib"], true),
            ("Apache-2.0 WITH LLVM-exception", &["Apache-2.0"], false),
            (
                "Apache-2.0 WITH LLVM-exception OR MIT",
                &["Apache-2.0 WITH LLVM-exception"],
                true,
            ),
            ("GPL-2.0+", &["GPL-2.0"], false),
        ] {
            assert_eq!(met(expression, permitted), expect, "{expression}");
        }
    }

    #[test]
    fn an_expression_is_shown_with_its_grouping() {
        for text in [
            "ISC AND (Apache-2.0 OR ISC)",
            "(MIT AND ISC) OR Zlib",
            "GPL-2.0-only WITH Classpath-exception-2.0",
        ] {
            let expression = Expression::parse(text).expect("well formed");
            assert_eq!(expression.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_expression_is_an_error_and_never_permitted() {
        for text in [
            "",
            "AND",
            "MIT OR",
            "MIT ISC",
            "(MIT",
            "MIT)",
            "()",
            "MIT WITH",
            "MIT WITH OR ISC",
        ] {
            assert!(Expression::parse(text).is_err(), "{text:?} was read");
        }
    }
}
