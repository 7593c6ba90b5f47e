//! The page of `ctdrop report` in a browser: it requests nothing, says nothing on the
//! console, fits on small screens and on paper, can be read in both colour schemes, and
//! shows the numbers of the JSON form.

mod browser;
mod record;

use std::{env, fs, path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};
use browser::Browser;
use conntrack_user::commands::report::{Format, Of, Options, run};
use serde_json::{Value, json};

/// Contrast of each text with what is behind it, as WCAG 2.2 computes it; and the texts
/// with the least.
const CONTRAST: &str = include_str!("contrast.js");

/// Names of files to which pictures are written, for docs/ and for people.
const PICTURES: &str = "CTDROP_PICTURES";

/// A browser, or the reason why the test cannot run.
fn browser() -> Result<Option<Browser>> {
    if browser::is_installed() {
        return Browser::start().map(Some);
    }
    let apt = Command::new("apt-get").arg("--version").output().is_ok();
    ensure!(
        !apt,
        "chromium is not installed: cargo xtask setup --test installs it"
    );
    eprintln!("skipped: chromium is not installed, and this machine has no apt to install it");
    Ok(None)
}

fn write(database: &Path, out: &Path, format: Format) -> Result<()> {
    run(&Options {
        of: Of::Last,
        format,
        out: Some(out.to_owned()),
        redact: false,
        file: database.to_owned(),
        from: Vec::new(),
    })
}

#[test]
fn the_page_is_readable_and_asks_nobody() -> Result<()> {
    let Some(mut browser) = browser()? else {
        return Ok(());
    };
    let directory = tempfile::tempdir()?;
    let database = directory.path().join("ctdrop.db");
    record::write(&database)?;
    let page = directory.path().join("report.html");
    write(&database, &page, Format::Html)?;
    if let Ok(directory) = env::var(PICTURES) {
        fs::copy(&page, Path::new(&directory).join("report.html"))?;
    }
    let json = directory.path().join("report.json");
    write(&database, &json, Format::Json)?;
    let url = format!("file://{}", page.display());
    for scheme in ["light", "dark"] {
        media(&mut browser, "screen", scheme)?;
        for width in [360, 1400] {
            screen(&mut browser, width)?;
            browser.open(&url)?;
            fits(&mut browser, width)?;
            contrast(&mut browser, scheme)?;
            picture(&mut browser, scheme, width)?;
        }
    }
    numbers(&mut browser, &serde_json::from_slice(&fs::read(&json)?)?)?;
    paper(&mut browser)?;
    is_quiet(&browser, &url);
    Ok(())
}

fn media(browser: &mut Browser, media: &str, scheme: &str) -> Result<()> {
    let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
    browser.call(
        "Emulation.setEmulatedMedia",
        &json!({"media": media, "features": features}),
    )?;
    Ok(())
}

fn screen(browser: &mut Browser, width: u32) -> Result<()> {
    browser.call(
        "Emulation.setDeviceMetricsOverride",
        &json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false}),
    )?;
    Ok(())
}

/// Nothing is wider than the screen, or cut off.
fn fits(browser: &mut Browser, width: u32) -> Result<()> {
    let found = browser.value(
        "({inner: innerWidth, scroll: document.documentElement.scrollWidth,
        out: [...document.querySelectorAll('body *')].filter(it => {
            const box = it.getBoundingClientRect();
            return box.width > 1 && (box.right > innerWidth + 1 || box.left < -1);
        }).map(it => it.tagName + ': ' + it.textContent.slice(0, 40))})",
    )?;
    assert_eq!(found["inner"], width);
    assert!(found["scroll"].as_u64() <= Some(width.into()), "{found}");
    assert_eq!(found["out"], json!([]), "at {width} px");
    Ok(())
}

fn contrast(browser: &mut Browser, scheme: &str) -> Result<()> {
    let open = "document.querySelectorAll('details').forEach(it => it.open = true)";
    browser.value(open)?;
    let found = browser.value(CONTRAST)?;
    assert!(found["texts"].as_u64() > Some(100), "{found}");
    assert!(found["least"].as_f64() >= Some(4.5), "{scheme}: {found}");
    let close = "document.querySelectorAll('details').forEach(it => it.open = false)";
    browser.value(close)?;
    Ok(())
}

/// The table of the charts, and their descriptions, have the numbers of the JSON form.
fn numbers(browser: &mut Browser, report: &Value) -> Result<()> {
    let timeline = &report["timeline"];
    let rows = browser.value(
        "[...document.querySelectorAll('.points tbody tr')].map(row =>
            [...row.cells].map(cell => cell.textContent.replaceAll(',', '')))",
    )?;
    let points = timeline["points"].as_array().context("no points")?;
    let rows = rows.as_array().context("no table")?;
    assert_eq!(rows.len(), points.len());
    let reasons = timeline["drops"].as_object().context("no drops")?;
    for (row, point) in rows.iter().zip(points) {
        let mut expected = vec![point["refused"].clone()];
        expected.extend(
            reasons
                .keys()
                .map(|reason| point["drops"].get(reason).cloned().unwrap_or(json!(0))),
        );
        expected.extend(["evicted", "entries", "max"].map(|name| point[name].clone()));
        let expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
        let shown: Vec<&str> = row
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        assert_eq!(shown[1..], expected);
    }
    // A bar for each point in which something was refused, as high as its packets.
    let mut most_first: Vec<(&String, &Value)> = reasons.iter().collect();
    most_first.sort_by_key(|(_, packets)| std::cmp::Reverse(packets.as_u64()));
    for (place, (reason, packets)) in most_first.into_iter().enumerate() {
        let path = format!("#refused-{place}-title");
        let found = browser.value(&format!(
            "(() => {{ const svg = document.querySelector('{path}').parentElement;
            return {{path: svg.querySelector('path').getAttribute('d'),
                text: svg.querySelector('desc').textContent.replaceAll(',', '')}}; }})()"
        ))?;
        let counts: Vec<f64> = points
            .iter()
            .filter_map(|point| point["drops"][reason].as_f64())
            .filter(|count| *count > 0.0)
            .collect();
        let most = counts.iter().copied().fold(0.0, f64::max);
        let text = found["text"].as_str().unwrap_or_default();
        assert!(text.contains(&format!("together {packets}.")), "{text}");
        let bars: Vec<f64> = found["path"]
            .as_str()
            .unwrap_or_default()
            .split('Z')
            .filter_map(|bar| bar.split('V').nth(1)?.split('H').next()?.parse().ok())
            .collect();
        assert_eq!(bars.len(), counts.len(), "{reason}");
        for (top, count) in bars.iter().zip(counts) {
            let height = (100.0 - top) * most / 100.0;
            assert!(
                (height - count).abs() <= most * 0.011,
                "{reason}: {height} is not {count}"
            );
        }
    }
    Ok(())
}

/// Pages of A4, on which nothing is cut off.
fn paper(browser: &mut Browser) -> Result<()> {
    // 210 mm less the margins, in CSS pixels.
    screen(browser, 687)?;
    media(browser, "print", "light")?;
    fits(browser, 687)?;
    let pdf = browser.call("Page.printToPDF", &json!({"preferCSSPageSize": true}))?;
    let data = pdf["data"].as_str().context("no PDF")?;
    let bytes = browser.value(&format!("atob('{data}')"))?;
    let bytes = bytes.as_str().unwrap_or_default();
    let sizes: Vec<&str> = bytes
        .split("/MediaBox [")
        .skip(1)
        .filter_map(|rest| rest.split(']').next())
        .collect();
    assert!(
        !sizes.is_empty() && sizes.len() < 20,
        "{} pages",
        sizes.len()
    );
    for size in sizes {
        let numbers: Vec<f64> = size
            .split_whitespace()
            .filter_map(|it| it.parse().ok())
            .collect();
        // 595 × 842 points, upright.
        assert!(
            (numbers[2] - 595.0).abs() < 2.0 && (numbers[3] - 842.0).abs() < 2.0,
            "{size}"
        );
    }
    if let Ok(directory) = env::var(PICTURES) {
        let bytes: Vec<u8> = bytes.chars().map(|char| char as u8).collect();
        fs::write(Path::new(&directory).join("report.pdf"), bytes)?;
    }
    Ok(())
}

/// It has asked for the page alone, and said nothing.
fn is_quiet(browser: &Browser, url: &str) {
    let requests = browser.told("Network.requestWillBeSent");
    for request in &requests {
        assert_eq!(request["request"]["url"], url);
    }
    assert_eq!(requests.len(), 4, "one for each time it was opened");
    for method in [
        "Log.entryAdded",
        "Runtime.consoleAPICalled",
        "Runtime.exceptionThrown",
    ] {
        assert_eq!(browser.told(method), Vec::<&Value>::new());
    }
}

/// Writes a picture, if somebody wants one.
fn picture(browser: &mut Browser, scheme: &str, width: u32) -> Result<()> {
    let Ok(directory) = env::var(PICTURES) else {
        return Ok(());
    };
    for (name, whole) in [("", false), ("-whole", true)] {
        let params = json!({"format": "png", "captureBeyondViewport": whole});
        let shot = browser.call("Page.captureScreenshot", &params)?;
        let data = shot["data"].as_str().context("no picture")?;
        let file = Path::new(&directory).join(format!("{scheme}-{width}{name}.png.base64"));
        fs::write(file, data)?;
    }
    Ok(())
}
