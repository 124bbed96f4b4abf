//! Where a contact is, and which market's price that means.
//!
//! The platform prices a delivered message by the recipient's calling code "and network prefix if
//! applicable" (PRICE, country calling codes; rules.md 7.2). So the first digits of a phone number, or the
//! two letters of a business-scoped id, are all the map needs and all an [`Origin`] holds: no number can
//! be told from it, and it may be stored and printed. [`market`] looks it up as of a day, because the
//! platform moves countries between markets at the start of a quarter. Whatever is not listed is "Other".
//!
//! The tables stand as the platform's page groups them and are sorted at compile time. A name that is no
//! market or a dial listed twice for a day does not compile.

use std::sync::{PoisonError, RwLock};

use crate::domain::time::Date;

/// A market of the rate card. Its number is its place in [`MARKETS`], which a later card may change: store
/// and publish the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Market(u8);

/// The markets of the card of 2026-10-01, 39 countries and 8 groups, named as the card names them (PRICE;
/// rules.md 7.2). Earlier cards have fewer of them and no others.
#[rustfmt::skip]
pub const MARKETS: [&str; 47] = [
    "Argentina", "Bangladesh", "Brazil", "Chile", "Colombia", "Egypt", "France", "Germany", "Hong Kong",
    "Hungary", "India", "Indonesia", "Iraq", "Israel", "Italy", "Kazakhstan", "Kuwait", "Malaysia",
    "Mexico", "Morocco", "Nepal", "Netherlands", "Nigeria", "Oman", "Pakistan", "Peru", "Poland", "Qatar",
    "Romania", "Russia", "Saudi Arabia", "Singapore", "South Africa", "Spain", "Sri Lanka", "Turkey",
    "Ukraine", "United Arab Emirates", "United Kingdom",
    "North America", "Rest of Africa", "Rest of Asia Pacific", "Rest of Central & Eastern Europe",
    "Rest of Latin America", "Rest of Middle East", "Rest of Western Europe", "Other",
];

/// The markets of candidate rows, behind [`MARKETS`]. Names are added when a process starts and never taken back, so
/// that a number means one name for as long as it runs.
static ADDED: RwLock<Vec<&'static str>> = RwLock::new(Vec::new());

impl Market {
    /// The market of everyone whose country the platform does not list.
    pub const OTHER: Self = Self::listed("Other");

    /// Its place in [`MARKETS`].
    #[must_use]
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }

    /// The name on the rate card.
    #[must_use]
    pub fn name(self) -> &'static str {
        if let Some(name) = MARKETS.get(self.index()) {
            return name;
        }
        let added = ADDED.read().unwrap_or_else(PoisonError::into_inner);
        added.get(self.index() - MARKETS.len()).copied().unwrap_or_default()
    }

    /// The market of a name that no card has listed yet: a candidate row's, which the next card may list. `None` if
    /// there are more of them than a market has numbers.
    #[must_use]
    pub fn added(name: &str) -> Option<Self> {
        if let Some(known) = Self::named(name) {
            return Some(known);
        }
        let mut added = ADDED.write().unwrap_or_else(PoisonError::into_inner);
        // Another may have added it in between.
        let place = added.iter().position(|known| *known == name).unwrap_or(added.len());
        let market = u8::try_from(MARKETS.len() + place).ok().map(Self)?;
        if place == added.len() {
            added.push(name.to_owned().leak());
        }
        Some(market)
    }

    /// The market of a name on a rate card or in a webhook; `None` for any other text. Case and spacing do
    /// not matter, "and" is "&" (the page writes one, the card the other), "UAE" and "UK" are understood.
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        let name = match text.trim() {
            short if short.eq_ignore_ascii_case("UAE") => "United Arab Emirates",
            short if short.eq_ignore_ascii_case("UK") => "United Kingdom",
            name => name,
        };
        let added = ADDED.read().unwrap_or_else(PoisonError::into_inner);
        let known = MARKETS.iter().chain(added.iter());
        (0..).map(Self).zip(known).find(|(_, known)| spelling(known).eq(spelling(name))).map(|(market, _)| market)
    }

    /// All markets of [`MARKETS`], in its order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..).take(MARKETS.len()).map(Self)
    }

    /// The market of an exact name in the tables below; it only runs at compile time.
    #[allow(clippy::panic, reason = "a name that is no market does not compile")]
    const fn listed(name: &str) -> Self {
        let mut at = 0;
        while at < MARKETS.len() {
            if same(MARKETS[at].as_bytes(), name.as_bytes()) {
                return Self(at as u8);
            }
            at += 1;
        }
        panic!("the map names a market that is not on the card")
    }
}

/// A name's words in lower case, each with a space behind it, and with one spelling of "and".
fn spelling(name: &str) -> impl Iterator<Item = u8> {
    name.split_whitespace()
        .map(|word| if word.eq_ignore_ascii_case("and") { "&" } else { word })
        .flat_map(|word| word.bytes().chain([b' ']))
        .map(|byte| byte.to_ascii_lowercase())
}

const fn same(left: &[u8], right: &[u8]) -> bool {
    let mut at = 0;
    while at < left.len() && at < right.len() && left[at] == right[at] {
        at += 1;
    }
    at == left.len() && at == right.len()
}

/// Where a contact is, as far as the market map needs to know. It never holds a whole phone number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// The digits a phone number begins with: its calling code (ITU-T E.164), and where countries share
    /// one, what tells them apart: 1 and the area code (1650), or 7 and the next digit (77).
    Dial(u16),
    /// The country of a business-scoped id, in the two capital letters of ISO 3166 (BSUID).
    Country([u8; 2]),
    /// Neither is known.
    Unknown,
}

impl Origin {
    /// The origin of a phone number in digits, without the plus sign. A text with anything else in it is
    /// [`Origin::Unknown`], and so is one that begins with 0, is too short to hold what is kept, or has
    /// more than the 15 digits of E.164 (a group's id has).
    #[must_use]
    pub fn of_phone(digits: &str) -> Self {
        if digits.len() > 15 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Self::Unknown;
        }
        let kept = match digits.as_bytes() {
            [] | [b'0', ..] => return Self::Unknown,
            [b'1', ..] => 4,
            // 7 and the next digit, and the two-digit calling codes; all others have three digits.
            [b'7', ..]
            | [b'2', b'0' | b'7', ..]
            | [b'3', b'0'..=b'4' | b'6' | b'9', ..]
            | [b'4', b'0' | b'1' | b'3'..=b'9', ..]
            | [b'5', b'1'..=b'8', ..]
            | [b'6', b'0'..=b'6', ..]
            | [b'8', b'1' | b'2' | b'4' | b'6', ..]
            | [b'9', b'0'..=b'5' | b'8', ..] => 2,
            _ => 3,
        };
        match digits.get(..kept).and_then(|dial| dial.parse().ok()) {
            Some(dial) => Self::Dial(dial),
            None => Self::Unknown,
        }
    }

    /// The origin of a business-scoped user id such as `US.13491208655302741918`, or of its parent
    /// `US.ENT.1181...`: the two capital letters before the first point (BSUID).
    #[must_use]
    pub fn of_scoped_id(text: &str) -> Self {
        match *text.as_bytes() {
            [first @ b'A'..=b'Z', second @ b'A'..=b'Z', b'.', ..] => Self::Country([first, second]),
            _ => Self::Unknown,
        }
    }

    /// The country in the letters of ISO 3166 (and XK, Kosovo); where several share a calling code, the
    /// main one. `None` where no country is known: free-phone and satellite codes, unassigned ones.
    #[must_use]
    pub fn country(self) -> Option<&'static str> {
        let dial = self.listed_dial()?;
        let (_, countries) = COUNTRIES[COUNTRIES.binary_search_by_key(&dial, |row| row.0).ok()?];
        match self {
            Self::Country(iso) => countries.split(' ').find(|country| country.as_bytes() == iso),
            Self::Dial(dial @ 1000..=1999) if has(CA_AREA_CODES, dial - 1000) => Some("CA"),
            Self::Dial(_) | Self::Unknown => countries.get(..2),
        }
    }

    /// The stored form. These numbers never change: 0 is unknown, `1 << 16 | dial` a dial and
    /// `2 << 16 | letters` a country, its two letters big-endian.
    #[must_use]
    pub const fn encode(self) -> u32 {
        match self {
            Self::Unknown => 0,
            Self::Dial(dial) => 1 << 16 | dial as u32,
            Self::Country(iso) => 2 << 16 | u16::from_be_bytes(iso) as u32,
        }
    }

    /// The origin of a stored form; `None` for a number that [`Origin::encode`] never writes.
    #[must_use]
    pub const fn decode(stored: u32) -> Option<Self> {
        match stored >> 16 {
            0 if stored == 0 => Some(Self::Unknown),
            1 => Some(Self::Dial(stored as u16)),
            2 => Some(Self::Country((stored as u16).to_be_bytes())),
            _ => None,
        }
    }

    /// The number under which the tables list the origin: 1 for the area codes of the United States and
    /// Canada, 7 for all of +7 that is not Kazakhstan's, else the dial itself.
    fn listed_dial(self) -> Option<u16> {
        match self {
            Self::Country([first @ b'A'..=b'Z', second @ b'A'..=b'Z']) => {
                Some(DIALS[iso_index(first, second)]).filter(|&dial| dial != 0)
            }
            Self::Country(_) | Self::Unknown => None,
            Self::Dial(dial @ 1000..=1999) => {
                let area = dial - 1000;
                Some(if has(US_AREA_CODES, area) || has(CA_AREA_CODES, area) { 1 } else { dial })
            }
            Self::Dial(70..=75 | 78 | 79) => Some(7),
            Self::Dial(dial) => Some(dial),
        }
    }
}

fn has(areas: &[u16], area: u16) -> bool {
    areas.binary_search(&area).is_ok()
}

/// One row of the market map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarketRow {
    /// The first day, in the account's zone.
    pub from: Date,
    /// The calling code, or 1 and an area code, or 7 and the next digit. 1 alone stands for every area
    /// code of the United States and Canada, 7 alone for all of +7 but 76 and 77.
    pub dial: u16,
    /// The market from that day on, until a later row of the same dial.
    pub market: Market,
}

impl MarketRow {
    /// Where the rule was read; `None` of a candidate's row, which names its file.
    #[must_use]
    pub fn source(self) -> Option<&'static str> {
        SOURCES.iter().find(|(from, _)| *from == self.from).map(|(_, source)| *source)
    }

    const fn key(self) -> i64 {
        key(self.dial, self.from)
    }
}

/// The order of the rows: by dial, then by day.
const fn key(dial: u16, from: Date) -> i64 {
    ((dial as i64) << 32) + from.ordinal() as i64
}

/// The first day of the map, in June 2019. Earlier days have its map too: no older list was found.
const FIRST: Date = Date::new(2019, 6, 1);
const OCT_2025: Date = Date::new(2025, 10, 1);
const JUL_2026: Date = Date::new(2026, 7, 1);
const OCT_2026: Date = Date::new(2026, 10, 1);

/// Where the rows of [`LISTED`] were read, by their first days.
const SOURCES: [(Date, &str); 4] = [
    (FIRST, "CBP: the list of June 2023 to September 2025 (rules.md 7.2)"),
    (OCT_2025, "PRICE: changes of October 2025"),
    (JUL_2026, "PRICE: the list of 2026-07-01"),
    (OCT_2026, "PRICE: changes of October 2026"),
];

/// What the platform's page lists: from which day, for which market, which dials. Append, never edit: a
/// replay bills an old message by its old market. Kazakhstan (76 and 77) is in no row before its own and so
/// was Other, never Russia (rules.md 10 #27).
#[rustfmt::skip]
const LISTED: &[(Date, &str, &[u16])] = &[
    (FIRST, "Argentina", &[54]), (FIRST, "Brazil", &[55]), (FIRST, "Chile", &[56]),
    (FIRST, "Colombia", &[57]), (FIRST, "Egypt", &[20]), (FIRST, "France", &[33]),
    (FIRST, "Germany", &[49]), (FIRST, "India", &[91]), (FIRST, "Indonesia", &[62]),
    (FIRST, "Israel", &[972]), (FIRST, "Italy", &[39]), (FIRST, "Malaysia", &[60]),
    (FIRST, "Mexico", &[52]), (FIRST, "Netherlands", &[31]), (FIRST, "Nigeria", &[234]),
    (FIRST, "Pakistan", &[92]), (FIRST, "Peru", &[51]), (FIRST, "Russia", &[7]),
    (FIRST, "Saudi Arabia", &[966]), (FIRST, "South Africa", &[27]), (FIRST, "Spain", &[34]),
    (FIRST, "Turkey", &[90]), (FIRST, "United Arab Emirates", &[971]),
    (FIRST, "United Kingdom", &[44]),
    (FIRST, "North America", &[1]),
    (FIRST, "Rest of Africa", &[
        213, 244, 229, 267, 226, 257, 237, 235, 242, 291, 251, 241, 220, 233, 245, 225, 254, 266, 231, 218,
        261, 265, 223, 222, 212, 258, 264, 227, 250, 221, 232, 252, 211, 249, 268, 255, 228, 216, 256, 260,
    ]),
    (FIRST, "Rest of Asia Pacific", &[
        93, 61, 880, 855, 86, 852, 81, 856, 976, 977, 64, 675, 63, 65, 94, 886, 992, 66, 993, 998, 84,
    ]),
    (FIRST, "Rest of Central & Eastern Europe", &[
        355, 374, 994, 375, 359, 385, 420, 995, 30, 36, 371, 370, 373, 389, 48, 40, 381, 421, 386, 380,
    ]),
    (FIRST, "Rest of Western Europe", &[43, 32, 45, 358, 353, 47, 351, 46, 41]),
    (FIRST, "Rest of Latin America", &[
        591, 506, 1809, 1829, 1849, 593, 503, 502, 509, 504, 1658, 1876, 505, 507, 595, 1787, 1939, 598, 58,
    ]),
    (FIRST, "Rest of Middle East", &[973, 964, 962, 965, 961, 968, 974, 967]),
    (OCT_2025, "Rest of Africa", &[263]),
    (JUL_2026, "Hong Kong", &[852]), (JUL_2026, "Hungary", &[36]), (JUL_2026, "Poland", &[48]),
    (JUL_2026, "Qatar", &[974]), (JUL_2026, "Romania", &[40]), (JUL_2026, "Singapore", &[65]),
    (OCT_2026, "Bangladesh", &[880]), (OCT_2026, "Iraq", &[964]), (OCT_2026, "Kazakhstan", &[76, 77]),
    (OCT_2026, "Kuwait", &[965]), (OCT_2026, "Morocco", &[212]), (OCT_2026, "Nepal", &[977]),
    (OCT_2026, "Oman", &[968]), (OCT_2026, "Sri Lanka", &[94]), (OCT_2026, "Ukraine", &[380]),
];

const ROWS: usize = {
    let (mut count, mut at) = (0, 0);
    while at < LISTED.len() {
        count += LISTED[at].2.len();
        at += 1;
    }
    count
};

/// The market map: what the platform lists, ascending by dial and day. The last row of a dial that is not
/// later than the day holds; a dial without one is [`Market::OTHER`].
pub static MARKET_ROWS: [MarketRow; ROWS] = {
    let mut rows = [MarketRow { from: FIRST, dial: 0, market: Market::OTHER }; ROWS];
    let (mut count, mut at) = (0, 0);
    while at < LISTED.len() {
        let (from, name, dials) = LISTED[at];
        let mut next = 0;
        while next < dials.len() {
            let row = MarketRow { from, dial: dials[next], market: Market::listed(name) };
            let mut place = count;
            while place > 0 && row.key() < rows[place - 1].key() {
                rows[place] = rows[place - 1];
                place -= 1;
            }
            rows[place] = row;
            count += 1;
            next += 1;
        }
        at += 1;
    }
    rows
};

/// The last row of a dial among those that ship.
pub(crate) fn last_row(dial: u16) -> Option<MarketRow> {
    MARKET_ROWS.iter().rev().find(|row| row.dial == dial).copied()
}

/// The market of an origin on a day of the account's calendar, by the map and by the rows `moved` behind it. `None` only
/// where the origin is unknown.
#[must_use]
pub fn market(origin: Origin, date: Date, moved: &[MarketRow]) -> Option<Market> {
    if origin == Origin::Unknown {
        return None;
    }
    let Some(dial) = origin.listed_dial() else {
        return Some(Market::OTHER);
    };
    if let Some(row) = moved.iter().rev().find(|row| row.dial == dial && row.from <= date) {
        return Some(row.market);
    }
    let wanted = key(dial, date.max(FIRST));
    let later = MARKET_ROWS.partition_point(|row| row.key() <= wanted);
    match MARKET_ROWS[..later].last() {
        Some(row) if row.dial == dial => Some(row.market),
        _ => Some(Market::OTHER),
    }
}

/// The area codes of the 50 states and Washington, D.C., in service in November 2026. Not here: Puerto Rico
/// (787, 939), which the platform lists elsewhere; the other territories (340, 670, 671, 684), which it does
/// not list (rules.md 10 #43); codes of no place (5xx personal, 8xx free-phone, 710); and 565 (Georgia),
/// assigned and not yet dated.
///
/// From the geographic codes in libphonenumber's metadata (release 9.0.43, 2026-11-06), compared with a list
/// by state, and 13 overlays it lacks, from their regulators' notices: 357 California (2025-03-26), 436 Ohio
/// (2024-03-01), 457 Louisiana (2025-09-25), 465 New York (2026-06), 471 Mississippi (2026-01-30), 483
/// Alabama (2026-02-23), 621 Texas (2025-01-23), 624 New York (2023-11-16), 679 Michigan (2025-11-07), 729
/// Tennessee (2025-09-05), 837 California (2025-01-31), 861 Illinois (2023-02-24), 924 Minnesota
/// (2024-08-30).
#[rustfmt::skip]
pub const US_AREA_CODES: &[u16] = &[
    201, 202, 203, 205, 206, 207, 208, 209, 210, 212, 213, 214, 215, 216, 217, 218, 219, 220, 223, 224,
    225, 227, 228, 229, 231, 234, 235, 239, 240, 248, 251, 252, 253, 254, 256, 260, 262, 267, 269, 270,
    272, 274, 276, 279, 281, 283, 301, 302, 303, 304, 305, 307, 308, 309, 310, 312, 313, 314, 315, 316,
    317, 318, 319, 320, 321, 323, 324, 325, 326, 327, 329, 330, 331, 332, 334, 336, 337, 339, 341, 346,
    347, 350, 351, 352, 353, 357, 360, 361, 363, 364, 369, 380, 385, 386, 401, 402, 404, 405, 406, 407,
    408, 409, 410, 412, 413, 414, 415, 417, 419, 423, 424, 425, 430, 432, 434, 435, 436, 440, 442, 443,
    445, 447, 448, 457, 458, 463, 464, 465, 469, 470, 471, 472, 475, 478, 479, 480, 483, 484, 501, 502,
    503, 504, 505, 507, 508, 509, 510, 512, 513, 515, 516, 517, 518, 520, 530, 531, 534, 539, 540, 541,
    551, 557, 559, 561, 562, 563, 564, 567, 570, 571, 572, 573, 574, 575, 580, 582, 585, 586, 601, 602,
    603, 605, 606, 607, 608, 609, 610, 612, 614, 615, 616, 617, 618, 619, 620, 621, 623, 624, 626, 628,
    629, 630, 631, 636, 640, 641, 645, 646, 650, 651, 656, 657, 659, 660, 661, 662, 667, 669, 678, 679,
    680, 681, 682, 686, 689, 701, 702, 703, 704, 706, 707, 708, 712, 713, 714, 715, 716, 717, 718, 719,
    720, 724, 725, 726, 727, 728, 729, 730, 731, 732, 734, 737, 738, 740, 743, 747, 748, 754, 757, 760,
    762, 763, 765, 769, 770, 771, 772, 773, 774, 775, 779, 781, 785, 786, 801, 802, 803, 804, 805, 806,
    808, 810, 812, 813, 814, 815, 816, 817, 818, 820, 821, 826, 828, 830, 831, 832, 835, 837, 838, 839,
    840, 843, 845, 847, 848, 850, 854, 856, 857, 858, 859, 860, 861, 862, 863, 864, 865, 870, 872, 878,
    901, 903, 904, 906, 907, 908, 909, 910, 912, 913, 914, 915, 916, 917, 918, 919, 920, 924, 925, 928,
    929, 930, 931, 934, 936, 937, 938, 940, 941, 943, 945, 947, 948, 949, 951, 952, 954, 956, 959, 970,
    971, 972, 973, 975, 978, 979, 980, 983, 984, 985, 986, 989,
];

/// The area codes of Canada in service in November 2026, with its codes of no place (600, 622, 633); from
/// libphonenumber's metadata (release 9.0.43, 2026-11-06). Codes set aside for later, such as 387, are not
/// here.
#[rustfmt::skip]
pub const CA_AREA_CODES: &[u16] = &[
    204, 226, 236, 249, 250, 257, 263, 273, 289, 306, 343, 354, 365, 367, 368, 382, 403, 416, 418, 428,
    431, 437, 438, 450, 468, 474, 506, 514, 519, 548, 579, 581, 584, 587, 600, 604, 613, 622, 633, 639,
    647, 672, 683, 705, 709, 742, 753, 778, 780, 782, 807, 819, 825, 867, 873, 879, 902, 905, 942,
];

/// The countries of each dial (see [`MarketRow::dial`]), the main one first: ITU-T E.164 with the letters of
/// ISO 3166, from libphonenumber's metadata (release 9.0.43, 2026-11-06). A country without numbers of its
/// own, such as AQ, is not here and so is Other.
#[rustfmt::skip]
const COUNTRIES: &[(u16, &str)] = &[
    (1, "US CA"), (7, "RU"), (20, "EG"), (27, "ZA"), (30, "GR"), (31, "NL"), (32, "BE"), (33, "FR"),
    (34, "ES"), (36, "HU"), (39, "IT VA"), (40, "RO"), (41, "CH"), (43, "AT"), (44, "GB GG IM JE"),
    (45, "DK"), (46, "SE"), (47, "NO SJ"), (48, "PL"), (49, "DE"), (51, "PE"), (52, "MX"), (53, "CU"),
    (54, "AR"), (55, "BR"), (56, "CL"), (57, "CO"), (58, "VE"), (60, "MY"), (61, "AU CC CX"), (62, "ID"),
    (63, "PH"), (64, "NZ"), (65, "SG"), (66, "TH"), (76, "KZ"), (77, "KZ"), (81, "JP"), (82, "KR"),
    (84, "VN"), (86, "CN"), (90, "TR"), (91, "IN"), (92, "PK"), (93, "AF"), (94, "LK"), (95, "MM"),
    (98, "IR"), (211, "SS"), (212, "MA EH"), (213, "DZ"), (216, "TN"), (218, "LY"), (220, "GM"),
    (221, "SN"), (222, "MR"), (223, "ML"), (224, "GN"), (225, "CI"), (226, "BF"), (227, "NE"), (228, "TG"),
    (229, "BJ"), (230, "MU"), (231, "LR"), (232, "SL"), (233, "GH"), (234, "NG"), (235, "TD"), (236, "CF"),
    (237, "CM"), (238, "CV"), (239, "ST"), (240, "GQ"), (241, "GA"), (242, "CG"), (243, "CD"), (244, "AO"),
    (245, "GW"), (246, "IO"), (247, "AC"), (248, "SC"), (249, "SD"), (250, "RW"), (251, "ET"), (252, "SO"),
    (253, "DJ"), (254, "KE"), (255, "TZ"), (256, "UG"), (257, "BI"), (258, "MZ"), (260, "ZM"), (261, "MG"),
    (262, "RE YT"), (263, "ZW"), (264, "NA"), (265, "MW"), (266, "LS"), (267, "BW"), (268, "SZ"),
    (269, "KM"), (290, "SH TA"), (291, "ER"), (297, "AW"), (298, "FO"), (299, "GL"), (350, "GI"),
    (351, "PT"), (352, "LU"), (353, "IE"), (354, "IS"), (355, "AL"), (356, "MT"), (357, "CY"),
    (358, "FI AX"), (359, "BG"), (370, "LT"), (371, "LV"), (372, "EE"), (373, "MD"), (374, "AM"),
    (375, "BY"), (376, "AD"), (377, "MC"), (378, "SM"), (380, "UA"), (381, "RS"), (382, "ME"), (383, "XK"),
    (385, "HR"), (386, "SI"), (387, "BA"), (389, "MK"), (420, "CZ"), (421, "SK"), (423, "LI"), (500, "FK"),
    (501, "BZ"), (502, "GT"), (503, "SV"), (504, "HN"), (505, "NI"), (506, "CR"), (507, "PA"), (508, "PM"),
    (509, "HT"), (590, "GP BL MF"), (591, "BO"), (592, "GY"), (593, "EC"), (594, "GF"), (595, "PY"),
    (596, "MQ"), (597, "SR"), (598, "UY"), (599, "CW BQ"), (670, "TL"), (672, "NF"), (673, "BN"),
    (674, "NR"), (675, "PG"), (676, "TO"), (677, "SB"), (678, "VU"), (679, "FJ"), (680, "PW"), (681, "WF"),
    (682, "CK"), (683, "NU"), (685, "WS"), (686, "KI"), (687, "NC"), (688, "TV"), (689, "PF"), (690, "TK"),
    (691, "FM"), (692, "MH"), (850, "KP"), (852, "HK"), (853, "MO"), (855, "KH"), (856, "LA"), (880, "BD"),
    (886, "TW"), (960, "MV"), (961, "LB"), (962, "JO"), (963, "SY"), (964, "IQ"), (965, "KW"), (966, "SA"),
    (967, "YE"), (968, "OM"), (970, "PS"), (971, "AE"), (972, "IL"), (973, "BH"), (974, "QA"), (975, "BT"),
    (976, "MN"), (977, "NP"), (992, "TJ"), (993, "TM"), (994, "AZ"), (995, "GE"), (996, "KG"), (998, "UZ"),
    (1242, "BS"), (1246, "BB"), (1264, "AI"), (1268, "AG"), (1284, "VG"), (1340, "VI"), (1345, "KY"),
    (1441, "BM"), (1473, "GD"), (1649, "TC"), (1658, "JM"), (1664, "MS"), (1670, "MP"), (1671, "GU"),
    (1684, "AS"), (1721, "SX"), (1758, "LC"), (1767, "DM"), (1784, "VC"), (1787, "PR"), (1809, "DO"),
    (1829, "DO"), (1849, "DO"), (1868, "TT"), (1869, "KN"), (1876, "JM"), (1939, "PR"),
];

/// The place of a pair of capital letters in [`DIALS`].
const fn iso_index(first: u8, second: u8) -> usize {
    (first - b'A') as usize * 26 + (second - b'A') as usize
}

/// The dial of each pair of letters, the first of several; 0 where there is no such country.
static DIALS: [u16; 26 * 26] = {
    let mut dials = [0; 26 * 26];
    let mut at = 0;
    while at < COUNTRIES.len() {
        let (dial, countries) = (COUNTRIES[at].0, COUNTRIES[at].1.as_bytes());
        let mut next = 0;
        while next < countries.len() {
            let place = iso_index(countries[next], countries[next + 1]);
            if dials[place] == 0 {
                dials[place] = dial;
            }
            next += 3;
        }
        at += 1;
    }
    dials
};

const fn ascending(codes: &[u16]) -> bool {
    let mut at = 1;
    while at < codes.len() && codes[at - 1] < codes[at] {
        at += 1;
    }
    at >= codes.len()
}

const _: () = {
    assert!(ascending(US_AREA_CODES), "US area codes ascend");
    assert!(ascending(CA_AREA_CODES), "Canadian area codes ascend");
    let mut at = 1;
    while at < ROWS {
        assert!(MARKET_ROWS[at - 1].key() < MARKET_ROWS[at].key(), "a dial is listed twice for a day");
        at += 1;
    }
    at = 1;
    while at < COUNTRIES.len() {
        assert!(COUNTRIES[at - 1].0 < COUNTRIES[at].0, "countries ascend by dial");
        at += 1;
    }
};

#[cfg(test)]
mod tests {
    use super::*;

    fn market(origin: Origin, date: Date) -> Option<Market> {
        super::market(origin, date, &[])
    }

    const BEFORE: Date = Date::new(2025, 9, 30);
    const NOW: Date = Date::new(2026, 10, 1);

    fn of_phone(digits: &str, date: Date) -> &'static str {
        market(Origin::of_phone(digits), date).map_or("unknown", Market::name)
    }

    fn of_country(iso: &str, date: Date) -> &'static str {
        market(Origin::of_scoped_id(&format!("{iso}.1")), date).map_or("unknown", Market::name)
    }

    #[test]
    fn the_card_has_39_countries_and_8_groups() {
        let (countries, groups) = MARKETS.split_at(39);
        assert_eq!((groups.len(), Market::all().count()), (8, 47));
        assert!(countries.is_sorted(), "countries stand in the order of the alphabet");
        assert!(countries.iter().all(|name| !name.starts_with("Rest of ")));
    }

    #[test]
    fn every_market_is_found_by_its_name_and_only_by_its_name() {
        for market in Market::all() {
            assert_eq!(Market::named(market.name()), Some(market));
            assert_eq!(Market::named(&market.name().to_ascii_uppercase()), Some(market));
        }
        let named = |text| Market::named(text).map(Market::name);
        assert_eq!(named(" Rest of  Central and Eastern\nEurope "), Some("Rest of Central & Eastern Europe"));
        assert_eq!(named("uae"), Some("United Arab Emirates"));
        assert_eq!(named("UK"), Some("United Kingdom"));
        for text in ["", " ", "Rest of", "Oman Sultanate", "SouthAfrica", "Market"] {
            assert_eq!(named(text), None, "{text:?}");
        }
    }

    #[test]
    fn every_market_is_reached_by_some_dial_in_october_2026() {
        for wanted in Market::all() {
            assert!((1..2000).any(|dial| market(Origin::Dial(dial), NOW) == Some(wanted)), "{}", wanted.name());
        }
    }

    #[test]
    fn each_listed_country_has_its_market_by_number_and_by_scoped_id() {
        // The countries of the page by market, with some that it does not list, before October 2025.
        #[rustfmt::skip]
        let listed = [
            ("Argentina", "AR"), ("Brazil", "BR"), ("Chile", "CL"), ("Colombia", "CO"), ("Egypt", "EG"),
            ("France", "FR"), ("Germany", "DE"), ("India", "IN"), ("Indonesia", "ID"), ("Israel", "IL"),
            ("Italy", "IT"), ("Malaysia", "MY"), ("Mexico", "MX"), ("Netherlands", "NL"), ("Nigeria", "NG"),
            ("Pakistan", "PK"), ("Peru", "PE"), ("Russia", "RU"), ("Saudi Arabia", "SA"),
            ("South Africa", "ZA"), ("Spain", "ES"), ("Turkey", "TR"), ("United Arab Emirates", "AE"),
            ("United Kingdom", "GB"), ("North America", "US CA"),
            ("Rest of Africa", "DZ AO BJ BW BF BI CM TD CG ER ET GA GM GH GW CI KE LS LR LY MG MW ML MR MA"),
            ("Rest of Africa", "MZ NA NE RW SN SL SO SS SD SZ TZ TG TN UG ZM"),
            ("Rest of Asia Pacific", "AF AU BD KH CN HK JP LA MN NP NZ PG PH SG LK TW TJ TH TM UZ VN"),
            ("Rest of Central & Eastern Europe", "AL AM AZ BY BG HR CZ GE GR HU LV LT MD MK PL RO RS SK SI UA"),
            ("Rest of Western Europe", "AT BE DK FI IE NO PT SE CH"),
            ("Rest of Latin America", "BO CR DO EC SV GT HT HN JM NI PA PY PR UY VE"),
            ("Rest of Middle East", "BH IQ JO KW LB OM QA YE"),
            ("Other", "CD EE KR KZ ZW CU BS TT BM VI GU AS MP RE AC XK"),
        ];
        for (name, countries) in listed {
            for iso in countries.split(' ') {
                assert_eq!(of_country(iso, BEFORE), name, "{iso}");
            }
        }
        // A number says the same as the letters of its country.
        for &(dial, countries) in COUNTRIES {
            for day in [BEFORE, NOW] {
                for iso in countries.split(' ') {
                    let by_letters = market(Origin::of_scoped_id(&format!("{iso}.1")), day);
                    assert_eq!(market(Origin::Dial(dial), day), by_letters, "{dial} {iso}");
                }
            }
        }
    }

    #[test]
    fn a_moved_country_changes_its_market_on_the_day() {
        #[rustfmt::skip]
        let moved = [
            (Date::new(2025, 9, 30), Date::new(2025, 10, 1), "Other",                            "263", "Rest of Africa"),
            (Date::new(2026, 6, 30), Date::new(2026, 7, 1), "Rest of Asia Pacific",             "852", "Hong Kong"),
            (Date::new(2026, 6, 30), Date::new(2026, 7, 1), "Rest of Asia Pacific",             "65",  "Singapore"),
            (Date::new(2026, 6, 30), Date::new(2026, 7, 1), "Rest of Central & Eastern Europe", "36",  "Hungary"),
            (Date::new(2026, 6, 30), Date::new(2026, 7, 1), "Rest of Central & Eastern Europe", "48",  "Poland"),
            (Date::new(2026, 6, 30), Date::new(2026, 7, 1), "Rest of Central & Eastern Europe", "40",  "Romania"),
            (Date::new(2026, 6, 30), Date::new(2026, 7, 1), "Rest of Middle East",              "974", "Qatar"),
            (Date::new(2026, 9, 30), Date::new(2026, 10, 1), "Rest of Asia Pacific",             "880", "Bangladesh"),
            (Date::new(2026, 9, 30), Date::new(2026, 10, 1), "Rest of Asia Pacific",             "977", "Nepal"),
            (Date::new(2026, 9, 30), Date::new(2026, 10, 1), "Rest of Asia Pacific",             "94",  "Sri Lanka"),
            (Date::new(2026, 9, 30), Date::new(2026, 10, 1), "Rest of Middle East",              "964", "Iraq"),
            (Date::new(2026, 9, 30), Date::new(2026, 10, 1), "Rest of Middle East",              "965", "Kuwait"),
            (Date::new(2026, 9, 30), Date::new(2026, 10, 1), "Rest of Middle East",              "968", "Oman"),
            (Date::new(2026, 9, 30), Date::new(2026, 10, 1), "Rest of Africa",                   "212", "Morocco"),
            (Date::new(2026, 9, 30), Date::new(2026, 10, 1), "Rest of Central & Eastern Europe", "380", "Ukraine"),
            (Date::new(2026, 9, 30), Date::new(2026, 10, 1), "Other",                            "76",  "Kazakhstan"),
            (Date::new(2026, 9, 30), Date::new(2026, 10, 1), "Other",                            "77",  "Kazakhstan"),
        ];
        for (eve, day, from, dial, to) in moved {
            let phone = format!("{dial}12345678");
            let seen = [FIRST, eve, day, Date::new(2030, 1, 1)].map(|date| of_phone(&phone, date));
            assert_eq!(seen, [from, from, to, to], "+{dial}");
        }
    }

    #[test]
    fn days_before_the_first_list_have_the_first_list() {
        for day in [Date::new(2018, 1, 1), Date::new(1999, 1, 1), Date::new(2009, 12, 31)] {
            assert_eq!(of_phone("5511987654321", day), "Brazil");
        }
    }

    /// G18.
    #[test]
    fn kazakhstan_is_other_then_itself_and_never_russia() {
        for phone in ["77011234567", "76011234567"] {
            assert_eq!(of_phone(phone, Date::new(2026, 9, 30)), "Other");
            assert_eq!(of_phone(phone, Date::new(2026, 10, 1)), "Kazakhstan");
            assert_eq!(Origin::of_phone(phone).country(), Some("KZ"));
        }
        assert_eq!(of_country("KZ", Date::new(2026, 9, 30)), "Other");
        assert_eq!(of_country("KZ", Date::new(2026, 10, 1)), "Kazakhstan");
        for next in ["0", "1", "2", "3", "4", "5", "8", "9"] {
            let phone = format!("7{next}161234567");
            assert_eq!(of_phone(&phone, NOW), "Russia");
            assert_eq!(Origin::of_phone(&phone).country(), Some("RU"));
        }
    }

    /// G19.
    #[test]
    fn of_the_two_congos_only_brazzaville_is_listed() {
        assert_eq!(of_phone("243812345678", NOW), "Other");
        assert_eq!(of_phone("242061234567", NOW), "Rest of Africa");
    }

    #[test]
    fn within_plus_1_the_area_code_decides() {
        let cases = [
            ("16505551234", "North America", Some("US")),
            ("12025550123", "North America", Some("US")),
            ("16795550123", "North America", Some("US")), // Detroit's overlay of 2025
            ("18085550123", "North America", Some("US")), // Hawaii
            ("14165550123", "North America", Some("CA")),
            ("19425550123", "North America", Some("CA")), // Toronto's overlay of 2025
            ("18675550123", "North America", Some("CA")),
            ("18095550123", "Rest of Latin America", Some("DO")),
            ("18295550123", "Rest of Latin America", Some("DO")),
            ("18495550123", "Rest of Latin America", Some("DO")),
            ("16585550123", "Rest of Latin America", Some("JM")),
            ("18765550123", "Rest of Latin America", Some("JM")),
            ("17875550123", "Rest of Latin America", Some("PR")),
            ("19395550123", "Rest of Latin America", Some("PR")),
            ("13405550123", "Other", Some("VI")),
            ("16705550123", "Other", Some("MP")),
            ("16715550123", "Other", Some("GU")),
            ("16845550123", "Other", Some("AS")),
            ("12425550123", "Other", Some("BS")),
            ("18685550123", "Other", Some("TT")),
            ("18005550123", "Other", None), // free-phone
            ("15005550123", "Other", None), // personal
            ("19995550123", "Other", None), // unassigned
        ];
        for (phone, name, country) in cases {
            assert_eq!(of_phone(phone, NOW), name, "{phone}");
            assert_eq!(Origin::of_phone(phone).country(), country, "{phone}");
        }
    }

    #[test]
    fn no_area_code_is_in_two_countries() {
        for &code in US_AREA_CODES {
            assert!(!has(CA_AREA_CODES, code), "{code}");
        }
        for code in [US_AREA_CODES, CA_AREA_CODES].concat() {
            assert!((200..1000).contains(&code), "{code}");
            assert!(COUNTRIES.iter().all(|&(dial, _)| dial != 1000 + code), "{code}");
        }
    }

    #[test]
    fn an_origin_keeps_the_calling_code_and_no_more() {
        let cases = [
            ("4915112345678", 49),
            ("5511987654321", 55),
            ("821012345678", 82),
            ("3725123456", 372),
            ("8801712345678", 880),
            ("2902234", 290),
            ("79161234567", 79),
            ("13055550123", 1305),
        ];
        for (phone, dial) in cases {
            assert_eq!(Origin::of_phone(phone), Origin::Dial(dial), "{phone}");
        }
        for short in ["1", "130", "7", "4", "37"] {
            assert_eq!(Origin::of_phone(short), Origin::Unknown, "{short}");
        }
    }

    #[test]
    fn what_is_no_phone_number_has_no_origin_and_no_market() {
        let group = "120363012345678901";
        for text in ["", "+4915112345678", "49 151 1234", "0151123456", "US.1", "١٢٣٤", group] {
            assert_eq!(Origin::of_phone(text), Origin::Unknown, "{text:?}");
        }
        assert_eq!(market(Origin::Unknown, NOW), None);
        assert_eq!(Origin::Unknown.country(), None);
    }

    #[test]
    fn every_calling_code_is_cut_at_its_length() {
        for &(dial, _) in COUNTRIES.iter().filter(|row| !matches!(row.0, 1 | 7)) {
            assert_eq!(Origin::of_phone(&format!("{dial}0000000")), Origin::Dial(dial));
        }
    }

    #[test]
    fn a_scoped_id_gives_its_country() {
        assert_eq!(Origin::of_scoped_id("US.13491208655302741918"), Origin::Country(*b"US"));
        assert_eq!(Origin::of_scoped_id("US.ENT.11815799212886844830"), Origin::Country(*b"US"));
        assert_eq!(Origin::of_scoped_id("BR.1").country(), Some("BR"));
        assert_eq!(Origin::of_scoped_id("JE.1").country(), Some("JE"));
        for text in ["", "US", "us.1", "USA.1", "U.1", ".US", "4915112345678", "ÜS.1"] {
            assert_eq!(Origin::of_scoped_id(text), Origin::Unknown, "{text:?}");
        }
    }

    #[test]
    fn an_unlisted_country_is_other() {
        for iso in ["AQ", "ZZ", "AA", "EU"] {
            assert_eq!(of_country(iso, NOW), "Other");
            assert_eq!(Origin::of_scoped_id(&format!("{iso}.1")).country(), None);
        }
        assert_eq!(market(Origin::Country(*b"us"), NOW), Some(Market::OTHER));
        assert_eq!(market(Origin::Dial(999), NOW), Some(Market::OTHER));
    }

    #[test]
    fn a_shared_calling_code_is_its_main_country() {
        #[rustfmt::skip]
        let main = [
            (44, "GB"), (39, "IT"), (47, "NO"), (61, "AU"), (212, "MA"), (262, "RE"), (290, "SH"),
            (358, "FI"), (590, "GP"), (599, "CW"),
        ];
        for (dial, iso) in main {
            assert_eq!(Origin::Dial(dial).country(), Some(iso));
        }
    }

    #[test]
    fn the_stored_form_never_changes_and_comes_back() {
        assert_eq!(Origin::Unknown.encode(), 0);
        assert_eq!(Origin::Dial(1650).encode(), 0x0001_0672);
        assert_eq!(Origin::Country(*b"US").encode(), 0x0002_5553);
        for payload in 0..=u16::MAX {
            for origin in [Origin::Dial(payload), Origin::Country(payload.to_be_bytes())] {
                assert_eq!(Origin::decode(origin.encode()), Some(origin));
            }
        }
        assert_eq!(Origin::decode(0), Some(Origin::Unknown));
        for stored in [1, 0xffff, 3 << 16, u32::MAX] {
            assert_eq!(Origin::decode(stored), None);
        }
    }
}
