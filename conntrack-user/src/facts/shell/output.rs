//! What the commands write that only print.

/// What `echo` prints; none if shells differ in it.
pub(super) fn echo(arguments: &[String]) -> Option<String> {
    let (arguments, end) = match arguments {
        [option, rest @ ..] if option == "-n" => (rest, ""),
        arguments => (arguments, "\n"),
    };
    // Some shells expand backslashes, and take further options.
    if arguments.iter().any(|word| word.contains('\\'))
        || arguments.first().is_some_and(|word| word.starts_with('-'))
    {
        return None;
    }
    Some(arguments.join(" ") + end)
}

/// What `printf` prints, with the formats that numbers and texts are printed by.
pub(super) fn printf(arguments: &[String]) -> Option<String> {
    let (format, values) = match arguments {
        [mark, format, values @ ..] if mark == "--" => (format, values),
        [format, values @ ..] if !format.starts_with('-') => (format, values),
        _ => return None,
    };
    let mut values = values.iter();
    let mut printed = String::new();
    loop {
        let left = values.len();
        let mut letters = format.chars();
        while let Some(letter) = letters.next() {
            match letter {
                '\\' => printed.push(match letters.next()? {
                    'n' => '\n',
                    't' => '\t',
                    '\\' => '\\',
                    _ => return None,
                }),
                '%' => match letters.next()? {
                    '%' => printed.push('%'),
                    's' => printed.push_str(values.next().map_or("", String::as_str)),
                    'd' | 'i' | 'u' => {
                        let value = values.next().map_or("0", String::as_str);
                        let plain = value.bytes().all(|digit| digit.is_ascii_digit())
                            && (value == "0" || !value.starts_with('0'))
                            && (1..=18).contains(&value.len());
                        if !plain {
                            return None;
                        }
                        printed.push_str(value);
                    }
                    _ => return None,
                },
                other => printed.push(other),
            }
        }
        // The format is used again while there are values.
        if values.len() == 0 || values.len() == left {
            return Some(printed);
        }
    }
}
