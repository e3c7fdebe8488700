//! Structs of options: what can be chosen, with defaults, and room for more.

/// Defines a struct of options with its defaults. Others cannot write it as a literal, so that a
/// field more is no break; they begin with the defaults and set, by methods of the fields' names,
/// what is to be different.
#[macro_export]
#[doc(hidden)]
macro_rules! option_struct {
    (
        $(#[$attr:meta])*
        pub struct $Name:ident {
            $( $(#[$doc:meta])* pub $field:ident: $ty:ty = $default:expr, )*
        }
    ) => {
        $(#[$attr])*
        #[non_exhaustive]
        pub struct $Name {
            $( $(#[$doc])* pub $field: $ty, )*
        }

        impl Default for $Name {
            fn default() -> $Name {
                $Name { $( $field: $default, )* }
            }
        }

        impl $Name {
            $(
                #[doc = concat!("The same with another [`", stringify!($field), "`](#structfield.", stringify!($field), ").")]
                #[must_use]
                pub fn $field(mut self, $field: $ty) -> $Name {
                    self.$field = $field;
                    self
                }
            )*
        }
    };
}
