//! A chunk of a text: what may be a word, a name or an address, and which of these it is.

/// What stands between the words of a chunk.
pub(super) const SEPARATORS: [char; 3] = ['.', ':', '%'];

/// What a word, a name or an address is made of; ctdrop writes the arrow itself.
pub(super) fn in_chunk(char: char) -> bool {
    char.is_ascii_alphanumeric() || "_-.:%".contains(char) || !char.is_ascii() && char != '→'
}

/// The words of a chunk.
pub(super) fn words_of(chunk: &str) -> Vec<String> {
    let (_, inner, _) = trimmed(chunk);
    let words = inner.split(SEPARATORS).filter(|word| !word.is_empty());
    words.map(ToOwned::to_owned).collect()
}

/// A chunk without what ends or begins a sentence; `::` belongs to an address.
pub(super) fn trimmed(chunk: &str) -> (&str, &str, &str) {
    let marks = ['.', ':', '-', '%'];
    let (mut begin, mut end) = (0, chunk.len());
    if !chunk.starts_with("::") {
        begin = chunk.len() - chunk.trim_start_matches(marks).len();
    }
    let inner = &chunk[begin..];
    if !inner.ends_with("::") {
        end = begin + inner.trim_end_matches(marks).len();
    }
    (&chunk[..begin], &chunk[begin..end], &chunk[end..])
}

/// Masks a chunk word by word.
pub(super) fn parts(chunk: &str, word: impl Fn(&str) -> String) -> String {
    let mut out = String::new();
    for part in chunk.split_inclusive(SEPARATORS) {
        let end = part.trim_end_matches(SEPARATORS);
        if !end.is_empty() {
            out.push_str(&word(end));
        }
        out.push_str(&part[end.len()..]);
    }
    out
}

/// The letter of an option.
pub(super) fn is_letter(word: &str) -> bool {
    word.len() == 1 && word.chars().all(|char| char.is_ascii_alphabetic())
}

pub(super) fn is_number(word: &str) -> bool {
    word.chars().all(|char| char.is_ascii_digit())
}

/// `13:40`, `13:40:34`
pub(super) fn is_time_of_day(chunk: &str) -> bool {
    let parts: Vec<&str> = chunk.split(':').collect();
    (2..=3).contains(&parts.len()) && parts.iter().all(|part| part.len() == 2 && is_number(part))
}

/// Where four numbers of up to 255 stand in a row, with something else than a dot between
/// them: `203,0,113,77`, `203 0 113 77`, `203[.]0[.]113[.]77`.
pub(super) fn spelled_out(text: &str) -> Option<(usize, usize)> {
    const BETWEEN: [&str; 6] = ["[.]", "(.)", "[dot]", ", ", ",", " "];
    let is_start = |at: usize| {
        !text[..at].ends_with(|char: char| char.is_ascii_alphanumeric() || ",.".contains(char))
    };
    let starts = text
        .char_indices()
        .filter(|(_, char)| char.is_ascii_digit());
    let mut starts = starts.map(|(at, _)| at).filter(|&at| is_start(at));
    starts.find_map(|start| {
        let length = BETWEEN
            .iter()
            .find_map(|between| four_numbers(&text[start..], between))?;
        Some((start, start + length))
    })
}

/// How long four numbers of up to 255 are that a text begins with; none if these are the
/// thousands of one number.
fn four_numbers(text: &str, between: &str) -> Option<usize> {
    let mut end = 0;
    let mut thousands = between == ",";
    for place in 0..4 {
        if place > 0 {
            end += text[end..].strip_prefix(between).map(|_| between.len())?;
        }
        let rest = &text[end..];
        let digits = rest.find(|char: char| !char.is_ascii_digit());
        let digits = digits.unwrap_or(rest.len());
        rest[..digits].parse::<u8>().ok()?;
        thousands &= place == 0 || digits == 3;
        end += digits;
    }
    let goes_on = text[end..].starts_with(|char: char| char.is_ascii_alphanumeric());
    (!thousands && !goes_on).then_some(end)
}

/// Whether it is a network whose address is cut short: `10.9.8/24`, `10/8`.
pub(super) fn is_network(chunk: &str, after: &str) -> bool {
    let mut after = after.chars();
    after.next() == Some('/')
        && after.next().is_some_and(|char| char.is_ascii_digit())
        && chunk
            .split('.')
            .all(|part| !part.is_empty() && is_number(part))
}

/// Whether it is an address in a form that is not read here: with a port, with a zone,
/// reversed as in names of the DNS, cut short.
pub(super) fn looks_like_address(chunk: &str) -> bool {
    let colons = chunk.matches(':').count();
    let hex = |char: char| char.is_ascii_hexdigit();
    let with_colons = chunk.split('%').next().is_some_and(|address| {
        address
            .chars()
            .all(|char| hex(char) || char == ':' || char == '.')
    });
    if colons >= 2 && with_colons {
        return true;
    }
    // A hardware address as routers write it.
    let groups: Vec<&str> = chunk.split('.').collect();
    if groups.len() == 3 && groups.iter().all(|it| it.len() == 4 && it.chars().all(hex)) {
        return true;
    }
    let numbers: Vec<&str> = chunk.split(['.', '-', '_']).collect();
    if numbers.len() >= 4 && numbers.iter().all(|it| !it.is_empty() && is_number(it)) {
        return true;
    }
    // Half of one in hexadecimal: cb00:714d.
    let parts: Vec<&str> = chunk.split(':').collect();
    let is_half = |part: &&str| (1..=4).contains(&part.len()) && part.chars().all(hex);
    let letters = chunk.contains(|char: char| char.is_ascii_alphabetic());
    if parts.len() > 1
        && letters
        && chunk.contains(|char: char| char.is_ascii_digit())
        && parts.iter().all(is_half)
    {
        return true;
    }
    let mut run = 0;
    for part in chunk.split(['.', ':']) {
        let is_part = !part.is_empty()
            && (part.len() <= 4 && is_number(part)
                || part.len() == 1 && part.chars().all(hex)
                || part.starts_with("0x") && part.chars().skip(2).all(hex));
        run = if is_part { run + 1 } else { 0 };
        if run >= 4 {
            return true;
        }
    }
    false
}
