//! The textual form: what [`print()`] writes, [`parse`] reads back to the same module.
//!
//! ```text
//! module   = "module" "@"name "{" { weight | state | graph } "}"
//! weight   = "weight" "@"name ":" type "=" string          the tensor's name in the model file
//! state    = "state" "@"name ":" ( type | kv )
//! graph    = "graph" "@"name "(" [ param { "," param } ] ")" "->" "(" [ output { "," output } ] ")"
//!            [ "where" bound { "," bound } ] "{" { op } return "}"
//! param    = "%"name ":" type [ "as" name ]
//! output   = "%"name ":" type
//! bound    = letter "in" int "..=" int
//! op       = [ value { "," value } "=" ] mnemonic [ operand { "," operand } ] [ attrs ]
//!            [ ":" type [ "as" name ] { "," type [ "as" name ] } ]
//! operand  = value | "@"name | "state" "@"name
//! attrs    = "{" attr { "," attr } "}"
//! attr     = word "=" ( simple | "{" word "=" simple { "," word "=" simple } "}" )
//! simple   = int | float | "[" [ int { "," int } ] "]" | dtype
//! return   = "return" [ "%"name "=" value { "," "%"name "=" value } ]
//! value    = "%"int | "%"name
//! type     = dtype "[" [ dim { "," dim } ] "]"             dim is an int or a letter A-Z
//! kv       = "kv" "<" dtype [ "," dtype ] ">" "[" int "," int "]"
//! name     = one or more of A-Z a-z 0-9 _ . -, or a string
//! string   = '"' with \" \\ \n \t \u{hex} '"'
//! ```
//!
//! White space and line ends separate words and mean nothing else, but that the name behind `as`
//! stands on the same line; `;` starts a comment that ends
//! with the line. A value stands before its uses, so an op depends only on lines above it, and ops
//! on one state run in the order of their lines. A number with a point or an exponent is a float
//! and is written so that it reads back to the same bits.
//!
//! Values are numbered afresh in the canonical order ([`Graph::order`](crate::Graph::order)), so
//! two graphs of the same shape print the same. The parser also takes names for values
//! (`%q = silu %x`); printing numbers them.

mod attrs;
mod body;
mod error;
mod lexer;
mod parser;
mod printer;

pub use error::ParseError;
pub use parser::parse;
pub use printer::{
    Line, Numbering, graph_lines, graph_lines_by, graph_lines_in, print, print_graph, print_with,
};
pub(crate) use printer::{Site, module_lines};

/// Whether a name can stand without quotes.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.chars().all(is_name_char)
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')
}
