//! The text of scenarios to what it says; docs/scenarios.md is the grammar.

mod vector;
mod words;

use std::ops::Range;

use crate::config::parse_date;
use crate::domain::money::{Amount, Currency};
use crate::domain::time::{Date, Millis};
pub use vector::{
    Bid, Expect, Failure, Given, Happening, Inbound, Outbound, Person, Pricing, StatusLine, Step, Vector, When,
};
use words::{Piece, Words};

/// How often a message may be repeated, or have been sent before: far more often than any allowance needs, and
/// no task without end.
const MOST_TIMES: u32 = 100_000;

/// How many participants a group has at most: more than the platform allows.
const MOST_IN_GROUP: u32 = 1_024;

/// A mistake in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where, in bytes from the beginning of the file.
    pub at: Range<usize>,
    /// What is wrong, and what could stand there.
    pub problem: String,
}

/// Everything in a file.
#[derive(Debug, Default)]
pub struct File {
    /// The vectors.
    pub vectors: Vec<Vector>,
    /// What could not be understood.
    pub mistakes: Vec<Mistake>,
}

/// Reads a file.
#[must_use]
pub fn parse(text: &str) -> File {
    let mut parser = Parser { file: File::default(), origin: Date::new(2026, 10, 5) };
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        parser.line(line, offset);
        offset += line.len();
    }
    parser.file
}

struct Parser {
    file: File,
    origin: Date,
}

impl Parser {
    fn line(&mut self, line: &str, offset: usize) {
        // A comment begins at the line's beginning or behind a space: `#` may stand inside a word.
        let end = line.find(" #").or_else(|| line.starts_with('#').then_some(0)).unwrap_or(line.len());
        let piece = Piece { text: &line[..end], at: offset };
        let indented = line.starts_with([' ', '\t']);
        let piece = piece.trim();
        if piece.text.is_empty() {
            return;
        }
        let result = if indented { self.body(piece) } else { self.header(piece) };
        if let Err(mistake) = result {
            match self.file.vectors.last_mut() {
                Some(vector) if vector.pending.is_some() && indented => vector.mistakes.push(mistake),
                _ => self.file.mistakes.push(mistake),
            }
        }
    }

    /// A line at the margin: `origin DATE`, or a vector's header.
    fn header(&mut self, piece: Piece<'_>) -> Result<(), Mistake> {
        let mut words = piece.words();
        let first = words.need("a vector's name")?;
        if first.text == "origin" {
            let date = words.need("a date")?;
            self.origin = parse_date(date.text).ok_or_else(|| date.mistake("it is no date; write `2026-10-05`"))?;
            return words.end();
        }
        let named = first.text.len() >= 2
            && first.text.starts_with(|letter: char| letter.is_ascii_uppercase())
            && first.text.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-');
        if !named {
            let problem = "a line at the margin is `origin DATE` or begins with a vector's name, such as `A02`";
            return Err(first.mistake(problem));
        }
        let title = piece.text[first.text.len()..].trim();
        let id = first.text.to_owned();
        if self.file.vectors.iter().any(|vector| vector.id == id) {
            return Err(first.mistake(format!("there is a vector `{id}` already")));
        }
        self.file.vectors.push(Vector {
            id,
            title: title.to_owned(),
            at: piece.range(),
            pending: None,
            origin: self.origin,
            given: Given::default(),
            steps: Vec::new(),
            mistakes: Vec::new(),
        });
        Ok(())
    }

    /// An indented line: `given: …`, `pending: …`, or steps.
    fn body(&mut self, piece: Piece<'_>) -> Result<(), Mistake> {
        let Some(vector) = self.file.vectors.last_mut() else {
            return Err(piece.mistake("it belongs to no vector: put a header at the margin above it"));
        };
        if let Some(rest) = piece.text.strip_prefix("given:") {
            let at = piece.at + "given:".len();
            for part in (Piece { text: rest, at }).split(",") {
                given(part, &mut vector.given)?;
            }
            return Ok(());
        }
        if let Some(rule) = piece.text.strip_prefix("pending:") {
            vector.pending = Some(rule.trim().to_owned());
            return Ok(());
        }
        for part in piece.split(";") {
            if !part.text.is_empty() {
                let step = step(part)?;
                vector.steps.push(step);
            }
        }
        Ok(())
    }
}

fn given(piece: Piece<'_>, given: &mut Given) -> Result<(), Mistake> {
    let mut words = piece.words();
    let first = words.need("what is given")?;
    let text = |words: &mut Words<'_>, what| words.need(what).map(|piece| piece.text.to_owned());
    match first.text {
        "tz" => {
            let zone = text(&mut words, "a time zone")?;
            match words.take() {
                None => given.zone = Some(zone),
                Some(of) if of.text == "of" => match words.need("`B` or `C`")? {
                    account if ["B", "C"].contains(&account.text) => {
                        given.other_zones.push((account.text.to_owned(), zone));
                    }
                    other => return Err(other.mistake("the other accounts are `B` and `C`")),
                },
                Some(of) => return Err(of.mistake("`of B` or `of C` may follow")),
            }
        }
        "currency" => given.currency = Some(text(&mut words, "a currency")?),
        "contact" => given.phone = Some(text(&mut words, "a phone number")?),
        "own" => given.own = Some(text(&mut words, "a phone number")?),
        "id" => given.scoped = Some(text(&mut words, "a scoped id")?),
        "card" => given.card = Some(text(&mut words, "`test` or `sample`")?),
        "candidate" => given.candidate = Some(text(&mut words, "a file of candidate rows")?),
        "csw" => {
            let open = words.need("`open`")?;
            if open.text != "open" {
                return Err(open.mistake("only `csw open` can be given; write inbound steps for anything else"));
            }
            given.window_open = true;
        }
        "fact" => {
            let name = text(&mut words, "a fact's name")?;
            given.facts.push((name, text(&mut words, "its value")?));
        }
        "setting" => {
            let name = text(&mut words, "a setting's name")?;
            given.settings.push((name, text(&mut words, "its value")?));
        }
        "no" => match text(&mut words, "what there is not")?.as_str() {
            "payment" => given.facts.push(("payment_method".into(), "false".into())),
            "opt-in" => given.no_opt_in = true,
            _ => return Err(piece.mistake("only `no payment` and `no opt-in` can be given")),
        },
        number => {
            if let Ok(count) = number.parse() {
                if count > MOST_TIMES {
                    return Err(first.mistake("every one of them is played, so at most 100000 can be used up"));
                }
                let used = words.need("`used`")?;
                if used.text != "used" {
                    return Err(used.mistake("a number is followed by `used`"));
                }
                let month = match words.take() {
                    Some(word) if word.text == "in" => Some(text(&mut words, "a month such as `2026-10`")?),
                    Some(word) => return Err(word.mistake("`in` and a month may follow")),
                    None => None,
                };
                given.used = Some((count, month));
            } else {
                let problem = "given can be `tz`, `currency`, `contact`, `id`, `own`, `card`, `candidate`, `csw open`, `fact`, `setting`, \
                           `no payment`, `no opt-in`, or `N used [in MONTH]`";
                return Err(first.mistake(problem));
            }
        }
    }
    words.end()
}

fn step(piece: Piece<'_>) -> Result<Step, Mistake> {
    let mut halves = piece.split("=>").into_iter();
    let left = halves.next().unwrap_or(piece);
    let mut words = left.words();
    let mut pending = None;
    if let Some(first) = words.peek()
        && let Some(rule) = first.text.strip_prefix("pending(").and_then(|rest| rest.strip_suffix(')'))
    {
        pending = Some(rule.to_owned());
        words.take();
    }
    let when = when(words.need("a time")?)?;
    let event = happening(&mut words)?;
    words.end()?;
    let mut expects = Vec::new();
    if let Some(right) = halves.next() {
        for part in right.split(",") {
            expects.push((part.range(), expect(part)?));
        }
    }
    Ok(Step { at: piece.range(), when, event, expects, pending })
}

/// An instant: `23:59:59.999`, `2026-10-31T23:30` in the account's zone, the same with `Z` in UTC, `@1746169200`.
fn when(piece: Piece<'_>) -> Result<When, Mistake> {
    let wrong = || {
        let problem = "it is no time; write hours from hour 0 (`24:30:00`), `2026-10-31T23:30` in the account's \
                       zone, the same with `Z` in UTC, or `@` and seconds since 1970";
        piece.mistake(problem)
    };
    if let Some(seconds) = piece.text.strip_prefix('@') {
        return seconds.parse().map(When::Unix).map_err(|_| wrong());
    }
    if let Some((date, time)) = piece.text.split_once('T') {
        let date = parse_date(date).ok_or_else(wrong)?;
        return match time.strip_suffix('Z') {
            Some(time) => clock(time).map(|time| When::Utc(date, time)).ok_or_else(wrong),
            None => clock(time).map(|time| When::Local(date, time)).ok_or_else(wrong),
        };
    }
    let (negative, text) = piece.text.strip_prefix('-').map_or((false, piece.text), |rest| (true, rest));
    let Millis(length) = clock(text).ok_or_else(wrong)?;
    Ok(When::After(Millis(if negative { -length } else { length })))
}

/// Hours, perhaps with minutes, seconds and milliseconds.
fn clock(text: &str) -> Option<Millis> {
    let mut parts = text.split(':');
    let hours: i64 = parts.next()?.parse().ok()?;
    let minutes: i64 = parts.next().map_or(Some(0), |part| part.parse().ok())?;
    let (seconds, millis) = match parts.next() {
        None => (0, 0),
        Some(part) => {
            let (seconds, millis) = part.split_once('.').unwrap_or((part, "0"));
            (seconds.parse().ok()?, format!("{millis:0<3}").parse::<i64>().ok().filter(|millis| *millis < 1000)?)
        }
    };
    if parts.next().is_some() || minutes > 59 || seconds > 59 || hours > 100_000 {
        return None;
    }
    Some(Millis(((hours * 60 + minutes) * 60 + seconds) * 1000 + millis))
}

fn happening(words: &mut Words<'_>) -> Result<Happening, Mistake> {
    let word = words.need("what happens")?;
    Ok(match word.text {
        "IN" => Happening::In(inbound(words)?),
        "CALL" => {
            let what = words.need("`connect`, `ringing`, `accepted`, `rejected`, or `of` and how long")?;
            if what.text == "of" {
                let length = length(words)?;
                let after = match words.take() {
                    Some(after) if after.text == "after" => {
                        let minutes = words.need("how many minutes")?;
                        minutes.text.parse().map_err(|_| minutes.mistake("it is no number of minutes"))?
                    }
                    Some(word) => return Err(word.mistake("`after` and a number of minutes may follow")),
                    None => 0,
                };
                Happening::CallOf(length, after)
            } else {
                Happening::Call(what.text.to_owned())
            }
        }
        "OUT" => Happening::Out(outbound(words)?),
        "ASK" => Happening::Out(Outbound { ask_only: true, ..outbound(words)? }),
        "STATUS" => Happening::Status(status(words)?),
        "PREF" => {
            let choice = words.need("`stop` or `resume`")?.text.to_owned();
            Happening::Preference(choice, person(words)?)
        }
        "ERASE" => Happening::Erase(person(words)?),
        "CONSENT" => {
            let scope = words.need("`all` or `marketing`")?.text.to_owned();
            let state = words.need("`given` or `withdrawn`")?;
            match state.text {
                "given" => Happening::Consent(scope, true, person(words)?),
                "withdrawn" => Happening::Consent(scope, false, person(words)?),
                _ => return Err(state.mistake("it is `given` or `withdrawn`")),
            }
        }
        "TEMPLATE" => template(words)?,
        "ACCOUNT" => {
            let name = words.need("a fact's name")?.text.to_owned();
            let value = words.need("its value")?.text.to_owned();
            let until = match words.take() {
                Some(word) if word.text == "until" => Some(when(words.need("a time")?)?),
                Some(word) => return Err(word.mistake("`until` and a time may follow")),
                None => None,
            };
            Happening::Account(name, value, until)
        }
        "TIER" => Happening::Tier {
            tier: words.need("a tier, such as `1001:5000`")?.text.to_owned(),
            market: words.need("a market")?.text.to_owned(),
            category: words.need("a category")?.text.to_owned(),
            month: words.need("a month, such as `2026-10`")?.text.to_owned(),
        },
        "BID" => Happening::Bid(bid(words)?),
        "COEXISTENCE" => Happening::Coexistence,
        "TIME" => Happening::Time,
        _ => {
            let problem = "what happens is one of IN, CALL, OUT, ASK, STATUS, PREF, CONSENT, ERASE, TEMPLATE, \
                           ACCOUNT, TIER, BID, COEXISTENCE, TIME";
            return Err(word.mistake(problem));
        }
    })
}

/// How long a call was: `2 minutes`, `7 seconds`.
fn length(words: &mut Words<'_>) -> Result<Millis, Mistake> {
    let number = words.need("how many")?;
    let count: i64 = number.text.parse().map_err(|_| number.mistake("it is no number"))?;
    let unit = words.need("`minutes` or `seconds`")?;
    match unit.text {
        _ if !(0..=86_400).contains(&count) => Err(number.mistake("a call has 86400 seconds at most")),
        "minutes" => Ok(Millis::minutes(count)),
        "seconds" => Ok(Millis::seconds(count)),
        _ => Err(unit.mistake("write `minutes` or `seconds`")),
    }
}

fn bid(words: &mut Words<'_>) -> Result<Bid, Mistake> {
    let first = words.need("a currency and a price, or a bid")?;
    let amount = |piece: Piece<'_>| Amount::parse(piece.text).ok_or_else(|| piece.mistake("it is no number"));
    if let Ok(bid) = first.text.parse() {
        let times = words.need("`times`")?;
        if times.text != "times" {
            return Err(times.mistake("`times` and a multiplier follow a bid"));
        }
        return Ok(Bid::Scaled(bid, amount(words.need("a multiplier")?)?));
    }
    let currency = Currency::parse(first.text).ok_or_else(|| first.mistake("it is neither a currency nor a bid"))?;
    Ok(Bid::Price(currency, amount(words.need("a price")?)?))
}

fn person(words: &mut Words<'_>) -> Result<Person, Mistake> {
    let mut person = Person::default();
    while let Some(word) = words.take() {
        match word.text {
            "by" => person.by = Some(names(words)?),
            "at" => person.occurred = Some(when(words.need("a time")?)?),
            _ => return Err(word.mistake("`by phone`, `by id`, `by NAMES` or `at TIME` may follow")),
        }
    }
    Ok(person)
}

/// `phone`, `id`, or a person's names: `12025550143+US.123+US.ENT.9`.
fn names(words: &mut Words<'_>) -> Result<String, Mistake> {
    let word = words.need("`phone`, `id` or names such as `12025550143+US.123`")?;
    let is_name = |name: &str| {
        let is_phone = name.len() >= 7 && name.bytes().all(|byte| byte.is_ascii_digit());
        is_phone || name.split_once('.').is_some_and(|(country, id)| country.len() == 2 && !id.is_empty())
    };
    if ["phone", "id"].contains(&word.text) || word.text.split('+').all(is_name) {
        return Ok(word.text.to_owned());
    }
    Err(word.mistake("it is `phone`, `id`, or names with `+` between them: phone numbers, `US.123`, `US.ENT.123`"))
}

fn inbound(words: &mut Words<'_>) -> Result<Inbound, Mistake> {
    let mut inbound = Inbound { kind: words.need("what arrives")?.text.to_owned(), ..Inbound::default() };
    while let Some(word) = words.take() {
        match word.text {
            "as" => inbound.name = Some(words.need("a name")?.text.to_owned()),
            "to" => inbound.number = Some(words.need("a number's name")?.text.to_owned()),
            "by" => inbound.by = Some(names(words)?),
            "becomes" if inbound.kind.starts_with("system") => inbound.becomes = Some(names(words)?),
            "at" => inbound.occurred = Some(when(words.need("a time")?)?),
            _ => {
                let problem = "`as NAME`, `to NUMBER`, `by phone`, `by id`, `by NAMES`, `at TIME` or, of `IN system`, \
                               `becomes NAMES` may follow";
                return Err(word.mistake(problem));
            }
        }
    }
    Ok(inbound)
}

fn outbound(words: &mut Words<'_>) -> Result<Outbound, Mistake> {
    let content = words.need("what is sent")?;
    if !["M", "U", "A", "tmpl", "svc", "react", "DS:U", "DS:A", "agent"].contains(&content.text) {
        return Err(content.mistake("what is sent is M, U, A, tmpl, svc, react, DS:U, DS:A or agent"));
    }
    let mut out = Outbound { content: content.text.to_owned(), times: 1, ..Outbound::default() };
    while let Some(word) = words.take() {
        if let Some(times) = word.text.strip_prefix('*') {
            let times = times.parse().ok().filter(|times| (1..=MOST_TIMES).contains(times));
            out.times = times.ok_or_else(|| word.mistake("`*` is followed by how many times, 1 to 100000"))?;
            continue;
        }
        if let Some(price) = braces(word.text) {
            let at = word.at + 1;
            let mut price = Piece { text: price, at }.words();
            let on = match price.peek() {
                Some(on) if ["sent", "delivered", "read"].contains(&on.text) => {
                    price.take();
                    on.text
                }
                _ => "delivered",
            };
            out.pricing.push((on.to_owned(), pricing(&mut price)?));
            continue;
        }
        match word.text {
            "as" => out.name = Some(words.need("a name")?.text.to_owned()),
            "from" => out.number = Some(words.need("a number's name")?.text.to_owned()),
            "via" => out.account = Some(words.need("an account's name")?.text.to_owned()),
            "by" => out.by = Some(names(words)?),
            "for" => out.evaluate_for = Some(when(words.need("a time")?)?),
            "sent" => out.sent = Some(when(words.need("a time")?)?),
            "dlv" => out.delivered = Some(when(words.need("a time")?)?),
            "undelivered" => out.undelivered = true,
            "to" if words.peek().is_some_and(|word| word.text == "others") => {
                words.take();
                out.to_others = true;
            }
            "to" => {
                for wanted in ["a", "group", "of"] {
                    let word = words.need("`a group of` and how many")?;
                    if word.text != wanted {
                        return Err(word.mistake("write `to a group of 5`"));
                    }
                }
                let count = words.need("how many")?;
                let size = count.text.parse().ok().filter(|size| (1..=MOST_IN_GROUP).contains(size));
                let size = size.ok_or_else(|| count.mistake("a group has 1 to 1024 participants"))?;
                out.group_of = Some(size);
                if words.peek().is_some_and(|word| word.text == "reaching") {
                    words.take();
                    let count = words.need("how many of them")?;
                    let reached = count.text.parse().ok().filter(|reached| *reached <= size);
                    out.reaching = Some(reached.ok_or_else(|| count.mistake("it is no number of participants"))?);
                }
            }
            "anyway" => out.anyway = true,
            "held" => out.held = true,
            "fails" | "refused" => {
                let code = words.peek().and_then(|word| word.text.parse().ok());
                if code.is_some() {
                    words.take();
                }
                let how = if word.text == "fails" { &mut out.fails } else { &mut out.refused };
                *how = Some(Failure { code });
            }
            _ => {
                let problem = "`*N`, `as NAME`, `from NUMBER`, `via ACCOUNT`, `by NAMES`, `for TIME`, `sent TIME`, `dlv TIME`, \
                               `undelivered`, `anyway`, `held`, `fails [CODE]`, `refused [CODE]`, `to a group of N`, `to others` or `{price}` may follow";
                return Err(word.mistake(problem));
            }
        }
    }
    Ok(out)
}

fn braces(text: &str) -> Option<&str> {
    text.strip_prefix('{')?.strip_suffix('}')
}

/// A price: `regular/marketing`, `CBP category`, `regular/service paid_exempt`, `… billable`, `… until TIME`, `… cost 0.05 USD`.
fn pricing(words: &mut Words<'_>) -> Result<Pricing, Mistake> {
    let first = words.need("a type and a category, such as `regular/marketing`")?;
    let mut pricing = if first.text == "CBP" {
        let category = words.need("a category")?.text.to_owned();
        Pricing { model: "CBP".into(), category, ..Pricing::default() }
    } else {
        let (kind, category) = first
            .text
            .split_once('/')
            .ok_or_else(|| first.mistake("a price reads `type/category` or `CBP category`"))?;
        Pricing { model: "PMP".into(), kind: Some(kind.into()), category: category.into(), ..Pricing::default() }
    };
    while let Some(word) = words.take() {
        match word.text {
            "until" => pricing.expires = Some(when(words.need("a time")?)?),
            "billable" => pricing.billable = true,
            "cost" => {
                let amount = words.need("an amount")?.text.to_owned();
                pricing.cost = Some((amount, words.need("a currency")?.text.to_owned()));
            }
            subtype => pricing.subtype = Some(subtype.to_owned()),
        }
    }
    Ok(pricing)
}

fn status(words: &mut Words<'_>) -> Result<StatusLine, Mistake> {
    let name = words.need("a message's name")?.text.to_owned();
    let status = words.need("a status")?.text.to_owned();
    let mut line = StatusLine { name, status, ..StatusLine::default() };
    while let Some(word) = words.take() {
        if let Some(price) = braces(word.text) {
            line.pricing = Some(pricing(&mut Piece { text: price, at: word.at + 1 }.words())?);
            continue;
        }
        match word.text {
            "at" => line.occurred = Some(when(words.need("a time")?)?),
            "nobody" => line.nobody = true,
            "by" => line.by = Some(names(words)?),
            code => match code.parse() {
                Ok(code) => line.code = Some(code),
                Err(_) => {
                    return Err(word.mistake("`at TIME`, `nobody`, `by NAMES`, an error code or `{price}` may follow"));
                }
            },
        }
    }
    Ok(line)
}

fn template(words: &mut Words<'_>) -> Result<Happening, Mistake> {
    let which = words.need("M, U or A")?;
    let template = match which.text {
        "M" => 'M',
        "U" => 'U',
        "A" => 'A',
        _ => return Err(which.mistake("the template is M, U or A")),
    };
    let word = words.need("a status event, `category`, `announced` or `quality`")?;
    let mut from = None;
    let (fact, value, title) = match word.text {
        "category" => ("category", words.need("a category")?.text, None),
        "quality" => ("quality", words.need("a quality")?.text, None),
        "announced" => {
            let category = words.need("a category")?.text;
            let word = words.need("`from` and a time")?;
            if word.text != "from" {
                return Err(word.mistake("`from` and a time follow"));
            }
            from = Some(when(words.need("a time")?)?);
            ("category_announced", category, None)
        }
        event => ("status", event, words.take().map(|title| title.text.to_owned())),
    };
    Ok(Happening::Template { template, fact: fact.into(), value: value.into(), title, from })
}

fn expect(piece: Piece<'_>) -> Result<Expect, Mistake> {
    if let Some(rest) = piece.text.strip_prefix("csw[") {
        return span(piece, rest).map(|(from, to)| Expect::Window(from, to));
    }
    if let Some(rest) = piece.text.strip_prefix("fep[") {
        return span(piece, rest).map(|(from, to)| Expect::Free(from, to));
    }
    if let Some((kind, rest)) = piece.text.strip_prefix("conv+ ").and_then(|rest| rest.split_once('[')) {
        let kind = conversation_kind(kind.trim());
        return span(piece, rest).map(|(from, to)| Expect::Opens(kind, from, to));
    }
    let mut words = piece.words();
    let word = words.need("what is expected")?;
    let text = |words: &mut Words<'_>, what| words.need(what).map(|piece| piece.text.to_owned());
    let optional = |words: &mut Words<'_>| words.take().map(|piece| piece.text.to_owned());
    let number = |words: &mut Words<'_>| {
        let piece = words.need("a number")?;
        piece.text.parse().map_err(|_| piece.mistake("it is no number"))
    };
    let expect = match word.text {
        "ALLOW" => Expect::Allow,
        "BLOCK" => Expect::Block(optional(&mut words)),
        "UNKNOWN" => Expect::Unknown(optional(&mut words)),
        "warning" => Expect::Warning(text(&mut words, "a code")?),
        "in_flight" => Expect::InFlight(number(&mut words)?),
        "notice" => Expect::Notice(text(&mut words, "a code")?),
        "category" => Expect::Category(text(&mut words, "a category")?),
        "market" => {
            let name = &piece.text["market".len()..];
            words.take_all();
            Expect::Market(name.trim().to_owned())
        }
        "csw" => {
            let until = words.need("`until` and a time")?;
            if until.text != "until" {
                return Err(until.mistake("write `csw until TIME` or `csw[TIME,TIME)`"));
            }
            Expect::WindowUntil(when(words.need("a time")?)?)
        }
        "no" => match text(&mut words, "`csw`, `fep`, `conv` or `warning`")?.as_str() {
            "csw" => Expect::NoWindow,
            "fep" => Expect::NoFree,
            "notice" => Expect::NoNotice,
            "conv" => Expect::NoConversation(optional(&mut words).map(|kind| conversation_kind(&kind))),
            "warning" => Expect::NoWarning(optional(&mut words)),
            _ => {
                return Err(piece.mistake(
                    "only `no csw`, `no fep`, `no conv [KIND]`, `no warning [CODE]` and `no notice` can be expected",
                ));
            }
        },
        "CHARGE" => Expect::Charge(text(&mut words, "a category")?, optional(&mut words)),
        "in" => {
            let kind = conversation_kind(&text(&mut words, "a kind of conversation")?);
            Expect::FreeLine("in_conversation".into(), Some(kind))
        }
        "FREE" => {
            let what = text(&mut words, "a reason")?;
            match what.split_once('/') {
                Some((reason, category)) => Expect::FreeLine(reason.into(), Some(category.into())),
                None => Expect::FreeLine(what, None),
            }
        }
        "UNPRICED" => Expect::Unpriced(text(&mut words, "a reason")?),
        "-" => Expect::NoLine,
        "unit" => Expect::Unit(number(&mut words)?),
        "charges" => Expect::Charges(number(&mut words)?),
        "total" => {
            let amount = text(&mut words, "an amount")?;
            Expect::Total(amount, text(&mut words, "a currency")?)
        }
        "tier" => {
            let tier = number(&mut words)?;
            match words.need("`of` and a month, or `from` and a time")? {
                of if of.text == "of" => Expect::Tier(tier, text(&mut words, "a month")?),
                from if from.text == "from" => Expect::TierFrom(tier, when(words.need("a time")?)?),
                word => return Err(word.mistake("write `tier 2 of 2026-10` or `tier 1001 from @1743451903`")),
            }
        }
        "outcome" => Expect::Outcome(text(&mut words, "an outcome")?),
        "agreement" => Expect::Agreement(text(&mut words, "an agreement")?),
        "nothing" => Expect::Nothing,
        bid if bid.bytes().all(|byte| byte.is_ascii_digit()) => {
            Expect::Bid(bid.parse().map_err(|_| word.mistake("it is no bid"))?)
        }
        "key" => Expect::Key(names(&mut words)?),
        "closed" => Expect::Closes(text(&mut words, "a reason")?),
        _ => {
            let problem = "what is expected is ALLOW, BLOCK, UNKNOWN, warning, no warning, in_flight, category, market, csw[a,b), \
                           csw until, no csw, fep[a,b), no fep, conv+ KIND[a,b), no conv, in KIND, CHARGE, FREE, UNPRICED, -, unit, charges, total, tier, outcome, \
                           agreement, key, closed, notice, no notice, nothing, or a bid";
            return Err(word.mistake(problem));
        }
    };
    words.end()?;
    Ok(expect)
}

/// The name of a kind of conversation: `BIC` and `UIC` are short for who began it.
fn conversation_kind(text: &str) -> String {
    match text {
        "BIC" => "business_initiated",
        "UIC" => "user_initiated",
        kind => kind,
    }
    .to_owned()
}

/// The rest of `csw[a,b)` behind the bracket.
fn span(piece: Piece<'_>, rest: &str) -> Result<(When, When), Mistake> {
    let wrong = || piece.mistake("a span reads `[TIME,TIME)`");
    let (from, to) = rest.strip_suffix(')').and_then(|rest| rest.split_once(',')).ok_or_else(wrong)?;
    let inside = piece.at + piece.text.len() - rest.len();
    let from_piece = Piece { text: from, at: inside }.trim();
    let to_piece = Piece { text: to, at: inside + from.len() + 1 }.trim();
    Ok((when(from_piece)?, when(to_piece)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_is_read_as_it_is_written() {
        let file = parse(
            "origin 2026-11-02\n\
             A02 [MR CSW] open for 24 hours  # a comment\n\
             \x20 given: tz UTC, 999 used in 2026-10\n\
             \x20 0 IN text => csw[0,24) ; 23:59:59 OUT svc dlv 24:30 {regular/service} => ALLOW, unit 1000\n",
        );
        assert_eq!(file.mistakes, []);
        let vector = &file.vectors[0];
        assert_eq!((vector.id.as_str(), vector.steps.len()), ("A02", 2));
        assert_eq!(vector.given.used, Some((999, Some("2026-10".into()))));
        assert_eq!(
            vector.steps[0].expects[0].1,
            Expect::Window(When::After(Millis(0)), When::After(Millis::hours(24)))
        );
        assert_eq!(vector.steps[1].when, When::After(Millis::seconds(86_399)));
        assert_eq!(vector.steps[1].expects.len(), 2);
    }

    #[test]
    fn a_mistake_points_at_the_word() {
        let text = "A02 x\n  0 IN text => csw[0,24]\n  1 SEND svc\n  soon OUT svc\n";
        let found: Vec<&str> = parse(text).mistakes.iter().map(|mistake| &text[mistake.at.clone()]).collect();
        assert_eq!(found, ["csw[0,24]", "SEND", "soon"]);
    }

    #[test]
    fn what_a_pending_vector_says_need_not_be_understood_yet() {
        let file = parse("F22 x\n  pending: groups\n  0 OUT M to a group of 5 => 5 charges\n");
        assert!(file.mistakes.is_empty());
        assert_eq!(file.vectors[0].mistakes.len(), 1);
    }

    #[test]
    fn times_are_read_to_the_millisecond() {
        assert_eq!(clock("23:59:59.999"), Some(Millis(86_399_999)));
        assert_eq!(clock("24"), Some(Millis::hours(24)));
        assert_eq!(clock("1:60"), None);
        assert_eq!(clock("x"), None);
    }
}
