//! Reads fields out of JSON: what no path asks for is skipped without being built.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::extract::{Extractor, NodeId, Sink};
use super::value::Value;

/// Reads a payload whose fields are children of `node`; says whether it was a JSON object.
pub(super) fn read<'p>(
    payload: &'p [u8],
    node: NodeId,
    depth: usize,
    sink: &mut Sink<'_, 'p>,
) -> bool {
    let mut json = serde_json::Deserializer::from_slice(payload);
    let object = Object { node, depth, sink };
    json.deserialize_map(object).is_ok() && json.end().is_ok()
}

/// The fields of an object.
struct Object<'s, 'x, 'p> {
    node: NodeId,
    /// How many steps lead to the object.
    depth: usize,
    sink: &'s mut Sink<'x, 'p>,
}

impl<'p> Visitor<'p> for Object<'_, '_, 'p> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'p>>(self, mut map: A) -> Result<(), A::Error> {
        let extractor = self.sink.extractor();
        let mut seen = Seen::default();
        let key = Key {
            extractor,
            node: self.node,
        };
        while let Some(child) = map.next_key_seed(key)? {
            match child {
                Some(child) if seen.insert(child) => {
                    map.next_value_seed(Field {
                        node: extractor.child_at(self.node, child),
                        depth: self.depth + 1,
                        in_array: false,
                        sink: self.sink,
                    })?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// A key, as the position of the child that it names.
#[derive(Clone, Copy)]
struct Key<'x> {
    extractor: &'x Extractor,
    node: NodeId,
}

impl<'p> DeserializeSeed<'p> for Key<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'p>>(self, key: D) -> Result<Option<usize>, D::Error> {
        // As bytes: a key that is not UTF-8 is no reason to refuse the fields beside it.
        key.deserialize_bytes(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    #[inline]
    fn visit_bytes<E: Error>(self, name: &[u8]) -> Result<Option<usize>, E> {
        Ok(self.extractor.child(self.node, name))
    }

    #[inline]
    fn visit_str<E: Error>(self, name: &str) -> Result<Option<usize>, E> {
        self.visit_bytes(name.as_bytes())
    }
}

/// Which children of a node an object has had: a repeated key counts once.
#[derive(Default)]
struct Seen {
    low: u64,
    /// For the rare node with more than 64 children.
    high: Vec<usize>,
}

impl Seen {
    /// Whether the child is new.
    #[inline]
    fn insert(&mut self, child: usize) -> bool {
        if child < 64 {
            let bit = 1 << child;
            let new = self.low & bit == 0;
            self.low |= bit;
            return new;
        }
        let position = self.high.binary_search(&child);
        if let Err(position) = position {
            self.high.insert(position, child);
        }
        position.is_err()
    }
}

/// The value of a field that some path names or goes through.
struct Field<'s, 'x, 'p> {
    node: NodeId,
    /// How many steps lead to the field.
    depth: usize,
    /// Whether the value is an element of an array.
    in_array: bool,
    sink: &'s mut Sink<'x, 'p>,
}

impl<'p> Field<'_, '_, 'p> {
    #[inline]
    fn put<E>(self, value: Value<'p>) -> Result<(), E> {
        self.sink.put(self.node, value);
        Ok(())
    }
}

impl<'p> DeserializeSeed<'p> for Field<'_, '_, 'p> {
    type Value = ();

    #[inline]
    fn deserialize<D: Deserializer<'p>>(self, value: D) -> Result<(), D::Error> {
        if !self.in_array {
            self.sink.at_element(self.depth, 0);
        }
        value.deserialize_any(self)
    }
}

impl<'p> Visitor<'p> for Field<'_, '_, 'p> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.put(Value::Null)
    }

    fn visit_bool<E>(self, b: bool) -> Result<(), E> {
        self.put(Value::Bool(b))
    }

    fn visit_i64<E>(self, i: i64) -> Result<(), E> {
        self.put(Value::Int(i))
    }

    fn visit_u64<E>(self, u: u64) -> Result<(), E> {
        self.put(Value::integer(u.into()))
    }

    fn visit_f64<E>(self, f: f64) -> Result<(), E> {
        self.put(Value::float(f))
    }

    fn visit_borrowed_str<E>(self, s: &'p str) -> Result<(), E> {
        self.put(Value::string(s.as_bytes()))
    }

    /// A string with escapes: the only copy.
    fn visit_str<E>(self, s: &str) -> Result<(), E> {
        self.put(Value::string(Cow::Owned(s.as_bytes().to_vec())))
    }

    fn visit_seq<A: SeqAccess<'p>>(self, mut array: A) -> Result<(), A::Error> {
        for i in 0.. {
            if !self.in_array {
                self.sink.at_element(self.depth, i);
            }
            let element = Field {
                node: self.node,
                depth: self.depth,
                in_array: true,
                sink: &mut *self.sink,
            };
            if array.next_element_seed(element)?.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'p>>(self, map: A) -> Result<(), A::Error> {
        if self.in_array {
            self.sink.skip_element(self.node);
        }
        let object = Object {
            node: self.node,
            depth: self.depth,
            sink: self.sink,
        };
        object.visit_map(map)
    }
}
