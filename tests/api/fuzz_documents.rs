//! Documents as nobody would write them: arbitrary ones, and valid ones that were tampered with.
//!
//! A document is kept as it was made, so that a test knows more of it than its text: whether a member comes twice, and
//! what it is called.

use proptest::prelude::*;
use proptest::sample::select;

/// Stands in every odd text that is generated, and must never come back in a refusal.
pub(crate) const CANARY: &str = "canary";

/// What is done to one member of an object.
type Work<'a> = dyn FnMut(&mut Vec<(String, Json)>, usize) + 'a;

/// JSON as it is written down, which is more than a parser lets through.
#[derive(Debug, Clone)]
pub(crate) enum Json {
    /// A number, a word or a text, as it stands in the document.
    Raw(String),
    /// A list.
    List(Vec<Json>),
    /// Members in their order, each as often as it comes.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// A text.
    pub(crate) fn text(text: &str) -> Self {
        Self::Raw(serde_json::to_string(text).unwrap())
    }

    /// As it travels.
    pub(crate) fn write(&self) -> String {
        let mut out = String::new();
        self.write_to(&mut out);
        out
    }

    fn write_to(&self, out: &mut String) {
        match self {
            Self::Raw(raw) => out.push_str(raw),
            Self::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    out.push_str(if index > 0 { ", " } else { "" });
                    item.write_to(out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (index, (name, value)) in members.iter().enumerate() {
                    out.push_str(if index > 0 { ", " } else { "" });
                    out.push_str(&serde_json::to_string(name).unwrap());
                    out.push_str(": ");
                    value.write_to(out);
                }
                out.push('}');
            }
        }
    }

    /// Whether some object in it has a member twice.
    pub(crate) fn has_twins(&self) -> bool {
        match self {
            Self::Raw(_) => false,
            Self::List(items) => items.iter().any(Self::has_twins),
            Self::Object(members) => {
                let is_twin = |(index, (name, _)): (usize, &(String, Self))| {
                    members[..index].iter().any(|(other, _)| other == name)
                };
                members.iter().enumerate().any(is_twin) || members.iter().any(|(_, value)| value.has_twins())
            }
        }
    }

    /// The members of a document; none if it is no object.
    pub(crate) fn members(&self) -> impl Iterator<Item = &str> {
        let members = match self {
            Self::Object(members) => members.as_slice(),
            Self::Raw(_) | Self::List(_) => &[],
        };
        members.iter().map(|(name, _)| name.as_str())
    }

    /// Replaces every member of this name, wherever it is.
    pub(crate) fn replace(&mut self, wanted: &str, with: &Self) {
        match self {
            Self::Raw(_) => {}
            Self::List(items) => items.iter_mut().for_each(|item| item.replace(wanted, with)),
            Self::Object(members) => {
                for (name, value) in members {
                    if name == wanted { *value = with.clone() } else { value.replace(wanted, with) }
                }
            }
        }
    }

    /// How many objects' members there are in it, at any depth.
    fn size(&self) -> usize {
        match self {
            Self::Raw(_) => 0,
            Self::List(items) => items.iter().map(Self::size).sum(),
            Self::Object(members) => members.iter().map(|(_, value)| 1 + value.size()).sum(),
        }
    }

    /// Does something with the n-th of them: to the object that it is in, and its place there.
    fn at(&mut self, mut nth: usize, work: &mut Work<'_>) -> Result<(), usize> {
        match self {
            Self::Raw(_) => Err(nth),
            Self::List(items) => {
                for item in items {
                    match item.at(nth, work) {
                        Ok(()) => return Ok(()),
                        Err(left) => nth = left,
                    }
                }
                Err(nth)
            }
            Self::Object(members) => {
                for index in 0..members.len() {
                    if nth == 0 {
                        work(members, index);
                        return Ok(());
                    }
                    match members[index].1.at(nth - 1, work) {
                        Ok(()) => return Ok(()),
                        Err(left) => nth = left,
                    }
                }
                Err(nth)
            }
        }
    }
}

/// One thing that is done to a document.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// A member is left out.
    Drop,
    /// A member comes twice.
    Double,
    /// A member is called something else.
    Rename(String),
    /// A member has another value.
    Value(Json),
    /// A member has a value just beyond what it may be, of those that there are for it.
    Edge(u16),
    /// There is one more member.
    Add(String, Json),
    /// A member's value is put into so many lists.
    Nest(usize),
}

impl Change {
    /// Does it to a member; which one, the number says.
    pub(crate) fn apply(&self, document: &mut Json, which: u16) {
        if let (Self::Add(name, value), Json::Object(members)) = (self, &mut *document) {
            return members.push((name.clone(), value.clone()));
        }
        let size = document.size();
        if size == 0 {
            return;
        }
        let done = document.at(usize::from(which) % size, &mut |members, index| match self {
            Self::Drop => drop(members.remove(index)),
            Self::Double => members.push(members[index].clone()),
            Self::Rename(name) => members[index].0.clone_from(name),
            Self::Value(value) => members[index].1 = value.clone(),
            Self::Edge(nth) => {
                let edges = edges(&members[index].0);
                members[index].1 = edges[usize::from(*nth) % edges.len()].clone();
            }
            Self::Add(name, value) => members.push((name.clone(), value.clone())),
            Self::Nest(depth) => {
                members[index].1 = (0..*depth).fold(members[index].1.clone(), |inner, _| Json::List(vec![inner]));
            }
        });
        assert_eq!(done, Ok(()), "there are so many members");
    }
}

/// One thing that is done to the bytes of a document.
#[derive(Debug, Clone)]
pub(crate) enum Damage {
    /// None.
    Nothing,
    /// It ends in the middle.
    Cut(u16),
    /// Something stands in it that does not belong there.
    Insert(u16, Vec<u8>),
    /// Something stands behind it.
    Tail(&'static [u8]),
}

impl Damage {
    /// Does it.
    pub(crate) fn apply(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        match self {
            Self::Nothing => {}
            Self::Cut(at) => bytes.truncate(usize::from(*at) % (bytes.len() + 1)),
            Self::Insert(at, what) => {
                let at = usize::from(*at) % (bytes.len() + 1);
                bytes.splice(at..at, what.iter().copied());
            }
            Self::Tail(tail) => bytes.extend_from_slice(tail),
        }
        bytes
    }
}

/// What has the right type for this member and cannot be right, or just is.
fn edges(name: &str) -> Vec<Json> {
    let name_too_long = Json::text(&"x".repeat(257));
    let raw: &[&str] = match name {
        "session" => {
            &[r#""a,b""#, r#"["x","x"]"#, r#"["x",""]"#, r#"["x","y","z"]"#, r#"["x"]"#, r#""\u0007""#, r#""""#]
        }
        "holder" | "by" => &[r#""""#, r#""\u0000""#, r#""a\nb""#, r#""\u009b""#],
        "reason" => &[r#""""#, r#""\u0000""#, r#""a\nb""#],
        "wait_s" => &["-0.001", "3600.001", "3601", "1e308", "0", "3600"],
        "after" => &[r#""one-t1""#, r#""one-t0""#, r#""two-t1""#, r#""one-t01""#],
        "turn" => &[r#""one-t0""#, r#""one-t2""#, r#""two-t1""#, r#""one-t01""#, r#""one-t1""#],
        "class" | "on_busy" | "result" | "kind" | "scope" | "reporter" => &[r#""""#, r#""OK""#, r#""interactive ""#],
        "preempt" | "dry_run" | "force" | "oom" => &["1", "null", r#""true""#],
        "key" | "id" => &[r#""""#, r#""\u0000""#],
        "generation" => &["0", "2", "9223372036854775807", "9223372036854775808", "1.0"],
        "subscription" | "to" => &[r#""canary""#, r#""A""#, r#""""#, r#""a ""#],
        "model" => &[r#""""#, r#""two words""#, r#""\u00fc""#],
        "status" => &["99", "600", "65536", "100", "599"],
        "exit_code" => &["2147483648", "-2147483649"],
        "signal" => &["65", r#""SIGCANARY""#, "64"],
        "retry_after_s" => &["-1", "3456000.5", "1e300", "3456000"],
        "until" | "reset_at" => &[
            r#""1970-01-01T00:00:00Z""#,
            r#""2020-01-01T00:00:00Z""#,
            r#""9999-12-30T22:00:00Z""#,
            r#""-009999-01-02T01:59:59Z""#,
            r#""2199-01-01T00:00:00""#,
        ],
        "observed_at" => &[r#""9999-12-30T22:00:00Z""#, r#""-009999-01-02T01:59:59Z""#],
        "for" => {
            &[r#""0s""#, r#""366d1ms""#, r#""1x""#, r#""1m1h""#, r#""18446744073709551615ms""#, r#""30500568904943w""#]
        }
        _ => &["null", "{}", "[]"],
    };
    let mut edges: Vec<Json> = raw.iter().map(|raw| Json::Raw((*raw).to_owned())).collect();
    match name {
        "session" => edges.push(Json::text(&"ü".repeat(129))),
        "holder" | "by" | "reason" => edges.extend([name_too_long, Json::text(&"ü".repeat(300))]),
        "key" | "id" => edges.extend([Json::text(&"x".repeat(201)), Json::text(&"ü".repeat(101))]),
        "model" => edges.push(Json::text(&"m".repeat(101))),
        _ => {}
    }
    edges
}

/// Values that nobody would give, of whatever type.
pub(crate) fn odd() -> BoxedStrategy<Json> {
    const NUMBERS: &[&str] = &[
        "0",
        "-0",
        "0.0",
        "1",
        "-1",
        "1.5",
        "1e2",
        "1e-320",
        "1e308",
        "1e309",
        "-1e309",
        "42",
        "3600",
        "3600.0000001",
        "9007199254740993",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "340282366920938463463374607431768211456",
        "01",
        "+1",
        ".5",
        "1.",
        "NaN",
        "Infinity",
    ];
    const WORDS: &[&str] = &["null", "true", "false", "nul", "True", "undefined", "[]", "{}", "[[]]", "[null]"];
    // As they stand in a document: some are not texts at all.
    const TEXTS: &[&str] = &[
        r#""""#,
        r#"" ""#,
        r#""\u0000""#,
        r#""\ud800""#,
        r#""\udc00\ud800""#,
        r#""\ud83d\ude00""#,
        "\"\u{202e}abc\"",
        "\"e\u{301}\"",
        "\"\u{feff}x\"",
        "\"\t\"",
        r#""\x""#,
        r#""a,b""#,
        r#""a,b,c""#,
        r#"",""#,
        r#""null""#,
        r#""ok""#,
        r#""OK""#,
        r#""queue""#,
        r#""a""#,
        r#""held""#,
        r#""one-t0""#,
        r#""one-t1""#,
        r#""one-t2""#,
        r#""one-t01""#,
        r#""one-t18446744073709551616""#,
        r#""two-t1""#,
        r#""-t1""#,
        r#""2026-11-18T11:06:40Z""#,
        r#""2026-11-18T11:06:60Z""#,
        r#""9999-12-30T22:00:00.999999999Z""#,
        r#""-009999-01-02T01:59:59Z""#,
        r#""1970-01-01T00:00:00Z""#,
        r#""1h""#,
        r#""0s""#,
        r#""366d""#,
        r#""18446744073709551615ms""#,
        r#""99999999999999999999d""#,
        r#""-1s""#,
        r"'single'",
    ];
    let long = prop_oneof![
        select(&[128_usize, 129, 200, 201, 256, 257, 500, 501, 70_000, 300_000][..]),
        (1_usize..2000).prop_map(|length| length)
    ];
    let long = (long, select(&["x", "ü", "😀", "\u{301}"][..])).prop_map(|(length, what)| {
        Json::text(&format!("{CANARY}{}", what.repeat(length.saturating_sub(CANARY.len()))))
    });
    let deep =
        (select(&[1_usize, 100, 126, 127, 128, 129, 5_000][..]), any::<bool>()).prop_map(|(depth, is_object)| {
            let (open, close) = if is_object { (r#"{"a":"#, "}") } else { ("[", "]") };
            Json::Raw(format!("{}1{}", open.repeat(depth), close.repeat(depth)))
        });
    prop_oneof![
        3 => select(NUMBERS).prop_map(|raw| Json::Raw(raw.to_owned())),
        2 => select(WORDS).prop_map(|raw| Json::Raw(raw.to_owned())),
        4 => select(TEXTS).prop_map(|raw| Json::Raw(raw.to_owned())),
        1 => any::<f64>().prop_filter_map("not in JSON", |number| serde_json::to_string(&number).ok()).prop_map(Json::Raw),
        1 => any::<i64>().prop_map(|number| Json::Raw(number.to_string())),
        2 => any::<String>().prop_map(|text| Json::text(&format!("{CANARY}{text}"))),
        1 => long,
        1 => deep,
    ]
    .boxed()
}

/// Any document, most of them not too large; the names are known ones, or any.
pub(crate) fn arbitrary(names: &'static [&'static str]) -> BoxedStrategy<Json> {
    let name = prop_oneof![4 => select(names).prop_map(str::to_owned), 1 => any::<String>()];
    odd()
        .prop_recursive(4, 24, 6, move |inner| {
            let list = prop::collection::vec(inner.clone(), 0..4).prop_map(Json::List);
            let members = prop::collection::vec((name.clone(), inner), 0..6);
            prop_oneof![1 => list, 3 => members.prop_map(Json::Object)]
        })
        .boxed()
}

/// Something to do to a document.
pub(crate) fn change(names: &'static [&'static str]) -> BoxedStrategy<Change> {
    let name = || {
        prop_oneof![
            3 => select(names).prop_map(str::to_owned),
            1 => select(names).prop_map(str::to_uppercase),
            1 => select(names).prop_map(|name| format!("{name} ")),
            1 => select(&["", "$schema", "__proto__", "failure.kind", "\u{0}", "é"][..]).prop_map(str::to_owned),
            1 => any::<String>(),
        ]
    };
    prop_oneof![
        2 => Just(Change::Drop),
        1 => Just(Change::Double),
        1 => name().prop_map(Change::Rename),
        4 => odd().prop_map(Change::Value),
        8 => any::<u16>().prop_map(Change::Edge),
        2 => (name(), odd()).prop_map(|(name, value)| Change::Add(name, value)),
        1 => select(&[1_usize, 2, 130][..]).prop_map(Change::Nest),
    ]
    .boxed()
}

/// Something to do to its bytes; mostly nothing.
pub(crate) fn damage() -> BoxedStrategy<Damage> {
    const PIECES: &[&[u8]] = &[b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xc0\x80", b"\"", b"\\", b"}"];
    const TAILS: &[&[u8]] = &[b" \n\t", b"\0", b"{}", b",", b"\xff", b"/* so */"];
    let what = prop_oneof![prop::collection::vec(any::<u8>(), 1..4), select(PIECES).prop_map(<[u8]>::to_vec),];
    prop_oneof![
        12 => Just(Damage::Nothing),
        1 => any::<u16>().prop_map(Damage::Cut),
        2 => (any::<u16>(), what).prop_map(|(at, what)| Damage::Insert(at, what)),
        1 => select(TAILS).prop_map(Damage::Tail),
    ]
    .boxed()
}
