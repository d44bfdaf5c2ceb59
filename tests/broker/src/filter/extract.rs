//! Pulls the fields that somebody asks for out of a payload, in one pass over it.
//!
//! An [`Extractor`] is built once from a list of paths and is good for every message type. Filters,
//! SOW keys, orders and groupings all read payloads through it.
//!
//! Where the sources are silent: a payload that breaks off or is malformed yields the fields before
//! the damage and says so ([`Values::is_malformed`]). An element number inside a path (`/c[0]/k`)
//! means the element of that array, at its end (`/c/k[0]`) the n-th value found under the whole
//! path; a field that is no array is its own element 0; arrays within arrays are one array.

#[cfg(test)]
mod tests;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::cmp::Ordering;

use super::path::Path;
use super::value::Value;
use super::{composite, json, tag_value};
use crate::message_type::MessageType;

/// Extracts the values of a fixed list of paths.
#[derive(Clone, Debug)]
pub struct Extractor {
    nodes: Vec<Node>,
    paths: usize,
    /// Whether any path numbers an element, which costs some bookkeeping.
    numbered: bool,
}

/// The paths, as a tree of their names.
#[derive(Clone, Debug, Default)]
struct Node {
    /// Sorted as [`find`] compares.
    children: Vec<(Box<[u8]>, NodeId)>,
    targets: Vec<Target>,
}

/// A path that ends at a node.
#[derive(Clone, Debug)]
struct Target {
    /// The index of the path.
    slot: usize,
    /// Only the n-th value counts.
    nth: Option<usize>,
    /// Only values within these elements count: (step, element).
    within: Box<[(usize, usize)]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NodeId(usize);

impl NodeId {
    pub(super) const ROOT: NodeId = NodeId(0);
}

impl Extractor {
    /// Prepares to extract these paths; the values come back under the same indexes.
    pub fn new(paths: &[Path]) -> Extractor {
        let mut extractor = Extractor {
            nodes: vec![Node::default()],
            paths: paths.len(),
            numbered: false,
        };
        let mut known = FxHashMap::default();
        for (slot, path) in paths.iter().enumerate() {
            extractor.insert(slot, path, &mut known);
        }
        // Once at the end: a list may have thousands of paths, in any order.
        for node in &mut extractor.nodes {
            node.children
                .sort_unstable_by(|(left, _), (right, _)| order(left, right));
        }
        extractor
    }

    /// Adds a path. The nodes are known by their parent and their name.
    fn insert<'n>(
        &mut self,
        slot: usize,
        path: &'n Path,
        known: &mut FxHashMap<(usize, &'n str), usize>,
    ) {
        let mut within = Vec::new();
        let mut node = NodeId::ROOT.0;
        for (depth, step) in path.steps.iter().enumerate() {
            let fresh = self.nodes.len();
            let child = *known.entry((node, step.name())).or_insert(fresh);
            if child == fresh {
                let name = step.name().as_bytes().into();
                self.nodes[node].children.push((name, NodeId(fresh)));
                self.nodes.push(Node::default());
            }
            node = child;
            if let (Some(index), true) = (step.index, depth + 1 < path.steps.len()) {
                within.push((depth, index));
            }
        }
        let nth = path.steps.last().and_then(|step| step.index);
        self.numbered |= nth.is_some() || !within.is_empty();
        self.nodes[node].targets.push(Target {
            slot,
            nth,
            within: within.into(),
        });
    }

    /// The values of the paths in one payload. Without paths the payload is not even read.
    pub fn extract<'p>(&self, message_type: &MessageType, payload: &'p [u8]) -> Values<'p> {
        let mut sink = Sink {
            extractor: self,
            values: Values {
                slots: SmallVec::new(),
                malformed: false,
            },
            elements: Vec::new(),
            counts: Vec::new(),
        };
        if self.paths > 0 {
            sink.values
                .slots
                .extend((0..self.paths).map(|_| Slot::Empty));
            if self.numbered {
                sink.counts.resize(self.paths, 0);
            }
            let sound = sink.read(message_type, payload, NodeId::ROOT, 0);
            sink.values.malformed = !sound;
        }
        sink.values
    }

    /// The position of a node's child of that name among its children.
    #[inline]
    pub(super) fn child(&self, node: NodeId, name: &[u8]) -> Option<usize> {
        find(&self.nodes[node.0].children, name).ok()
    }

    #[inline]
    pub(super) fn child_at(&self, node: NodeId, position: usize) -> NodeId {
        self.nodes[node.0].children[position].1
    }
}

/// By length first, which tells most names apart without looking at their bytes.
#[inline]
fn order(left: &[u8], right: &[u8]) -> Ordering {
    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
}

#[inline]
fn find(children: &[(Box<[u8]>, NodeId)], name: &[u8]) -> Result<usize, usize> {
    children.binary_search_by(|(child, _)| order(child, name))
}

/// The values of the extractor's paths in one payload.
#[derive(Clone, Debug)]
pub struct Values<'p> {
    slots: SmallVec<[Slot<'p>; 4]>,
    malformed: bool,
}

#[derive(Clone, Debug, Default)]
enum Slot<'p> {
    #[default]
    Empty,
    One(Value<'p>),
    Many(Vec<Value<'p>>),
}

impl Values<'_> {
    /// The value of the path with this index; NULL if the payload has no such field.
    #[inline]
    pub fn get(&self, index: usize) -> Value<'_> {
        match self.slots.get(index) {
            None | Some(Slot::Empty) => Value::Null,
            Some(Slot::One(value)) => value.borrowed(),
            Some(Slot::Many(values)) => Value::Array(values),
        }
    }

    /// Whether the payload was not what its message type says. Values found before the damage are
    /// there.
    pub fn is_malformed(&self) -> bool {
        self.malformed
    }
}

/// What the readers of the message types put values into.
pub(super) struct Sink<'x, 'p> {
    extractor: &'x Extractor,
    values: Values<'p>,
    /// By step: the element of the array that is being read.
    elements: Vec<usize>,
    /// By path: how many values were seen.
    counts: Vec<usize>,
}

impl<'x, 'p> Sink<'x, 'p> {
    /// Reads a payload whose fields are children of `node`, `depth` steps below the root. Says
    /// whether it was sound.
    fn read(
        &mut self,
        message_type: &MessageType,
        payload: &'p [u8],
        node: NodeId,
        depth: usize,
    ) -> bool {
        match message_type {
            MessageType::Json => json::read(payload, node, depth, self),
            MessageType::Fix | MessageType::Nvfix => tag_value::read(payload, node, self),
            MessageType::Binary => true,
            MessageType::CompositeLocal(types) => {
                let mut sound = true;
                for (i, (part, message_type)) in composite::parts(payload).zip(types).enumerate() {
                    let Ok(part) = part else { return false };
                    let name = i.to_string();
                    // An empty part is one that a delta leaves unchanged: no fields, no damage.
                    if let (Some(child), false) =
                        (self.extractor.child(node, name.as_bytes()), part.is_empty())
                    {
                        let child = self.extractor.child_at(node, child);
                        self.at_element(depth + 1, 0);
                        sound &= self.read(message_type, part, child, depth + 1);
                    }
                }
                sound
            }
            MessageType::CompositeGlobal(types) => {
                let mut sound = true;
                for (part, message_type) in composite::parts(payload).zip(types) {
                    let Ok(part) = part else { return false };
                    sound &= part.is_empty() || self.read(message_type, part, node, depth);
                }
                sound
            }
        }
    }

    pub(super) fn extractor(&self) -> &'x Extractor {
        self.extractor
    }

    /// The value of the field that is `depth` steps deep is now the given element of an array.
    #[inline]
    pub(super) fn at_element(&mut self, depth: usize, element: usize) {
        let Some(step) = depth.checked_sub(1) else {
            return;
        };
        if self.extractor.numbered {
            if self.elements.len() <= step {
                self.elements.resize(step + 1, 0);
            }
            self.elements[step] = element;
        }
    }

    /// The payload has this value under the path of `node`.
    #[inline]
    pub(super) fn put(&mut self, node: NodeId, value: Value<'p>) {
        let extractor = self.extractor;
        let Some((last, others)) = extractor.nodes[node.0].targets.split_last() else {
            return;
        };
        for target in others {
            self.put_into(target, value.clone());
        }
        self.put_into(last, value);
    }

    /// The payload has an object as an element of an array under the path of `node`: no value, but
    /// elements are counted with it.
    pub(super) fn skip_element(&mut self, node: NodeId) {
        if self.extractor.numbered {
            for target in &self.extractor.nodes[node.0].targets {
                self.counts[target.slot] += 1;
            }
        }
    }

    #[inline]
    fn put_into(&mut self, target: &Target, value: Value<'p>) {
        if self.extractor.numbered {
            let inside = |&(step, element): &(usize, usize)| {
                self.elements.get(step).copied().unwrap_or(0) == element
            };
            if !target.within.iter().all(inside) {
                return;
            }
            let count = self.counts[target.slot];
            self.counts[target.slot] = count + 1;
            if target.nth.is_some_and(|nth| nth != count) {
                return;
            }
        }
        let slot = &mut self.values.slots[target.slot];
        *slot = match std::mem::take(slot) {
            Slot::Empty => Slot::One(value),
            Slot::One(first) => Slot::Many(vec![first, value]),
            Slot::Many(mut values) => {
                values.push(value);
                Slot::Many(values)
            }
        };
    }
}
