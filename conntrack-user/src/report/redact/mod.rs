//! Masks addresses and names in a report, before it is written in any form.

mod chunk;
mod mask;

pub use self::mask::Mask;
use crate::{
    kernel::container::Names,
    report::model::{
        Census, Fix, Flow, Host, Incident, Limits, Method, Report, Sender, Service, Share, Step,
        Survives, Timeline, Victims,
    },
};

/// Masks all of a report.
pub(super) fn redact(report: &mut Report, mask: &mut Mask) {
    learn(report, mask);
    let mask = &*mask;
    let Report {
        r#type: _,
        version: _,
        time: _,
        redacted: _,
        incident: _,
        since: _,
        until: _,
        // Made of the masked report.
        summary: _,
        incidents,
        timeline,
        victims,
        censuses,
        limits,
        fixes,
        hosts,
        method,
    } = report;
    for it in incidents {
        incident(it, mask);
    }
    self::timeline(timeline, mask);
    self::victims(victims, mask);
    for it in censuses {
        census(it, mask);
    }
    self::limits(limits, mask);
    for it in fixes {
        fix(it, mask);
    }
    for it in hosts {
        host(it, mask);
    }
    self::method(method, mask);
}

/// Learns the names that have a place of their own, and the limits.
fn learn(report: &Report, mask: &mut Mask) {
    for host in &report.hosts {
        mask.learn(&host.host);
        mask.learn_version(&host.kernel);
        for run in &host.runs {
            mask.learn_version(&run.version);
        }
    }
    for incident in &report.incidents {
        mask.learn(&incident.netns_name);
        let names = incident.names.iter().flat_map(all_of);
        names.for_each(|name| mask.learn(name));
        incident
            .max
            .into_iter()
            .for_each(|max| mask.learn_number(max));
    }
    report
        .timeline
        .netns_name
        .iter()
        .for_each(|name| mask.learn(name));
    let victims = &report.victims;
    for flow in &victims.flows {
        mask.learn(&flow.netns_name);
    }
    for sender in &victims.senders {
        let process = sender.process.rsplit_once('[');
        mask.learn(process.map_or(sender.process.as_str(), |(name, _)| name));
        let places = sender.unit.iter().chain(&sender.container);
        let names = sender.names.iter().flat_map(all_of);
        places.chain(names).for_each(|name| mask.learn(name));
    }
    for census in &report.censuses {
        for rows in [&census.sources, &census.destinations, &census.services] {
            let owners = rows.iter().filter_map(|row| row.owner.as_ref());
            owners.for_each(|name| mask.learn(name));
        }
        census.owners.iter().for_each(|row| mask.learn(&row.key));
    }
    for change in &report.limits.changes {
        change
            .made_by
            .iter()
            .for_each(|maker| mask.learn_maker(maker));
        for number in [
            change.max_before,
            change.max,
            change.buckets_before,
            change.buckets,
        ] {
            mask.learn_number(number);
        }
    }
}

/// Masks the path of a file of evidence.
pub(super) fn path(text: &mut String, mask: &mut Mask) {
    mask.learn(text);
    *text = mask.name(text);
}

fn texts<'a>(texts: impl IntoIterator<Item = &'a mut String>, mask: &Mask) {
    for text in texts {
        *text = mask.text(text);
    }
}

fn names<'a>(names: impl IntoIterator<Item = &'a mut String>, mask: &Mask) {
    for name in names {
        *name = mask.name(name);
    }
}

/// The names of a container that is a sender or an owner.
fn called(called: &mut Option<Names>, mask: &Mask) {
    let Some(Names {
        container,
        image,
        pod,
        namespace,
        workload,
        project,
        service,
        file,
    }) = called
    else {
        return;
    };
    for name in [container, image, pod, namespace, project, service] {
        names(name, mask);
    }
    if let Some(workload) = workload {
        texts(&mut workload.kind, mask);
        names([&mut workload.name], mask);
    }
    texts([file], mask);
}

/// All names of a container.
fn all_of(called: &Names) -> impl Iterator<Item = &String> {
    let workload = called.workload.iter().map(|workload| &workload.name);
    [
        &called.container,
        &called.image,
        &called.pod,
        &called.namespace,
        &called.project,
        &called.service,
    ]
    .into_iter()
    .flatten()
    .chain(workload)
}

/// Counts by reason; a reason that ctdrop does not know is a name.
fn reasons(drops: &mut std::collections::BTreeMap<String, u64>, mask: &Mask) {
    let known = std::mem::take(drops).into_iter();
    for (reason, packets) in known {
        *drops.entry(mask.text(&reason)).or_default() += packets;
    }
}

fn incident(incident: &mut Incident, mask: &Mask) {
    names([&mut incident.netns_name], mask);
    called(&mut incident.names, mask);
    reasons(&mut incident.drops, mask);
    texts(
        [
            &mut incident.kind,
            &mut incident.kind_text,
            &mut incident.confidence,
        ],
        mask,
    );
    texts(&mut incident.culprit, mask);
    texts(
        incident.evidence.iter_mut().chain(&mut incident.against),
        mask,
    );
    for remedy in &mut incident.remedies {
        texts([&mut remedy.what, &mut remedy.how], mask);
        texts(&mut remedy.commands, mask);
    }
}

fn timeline(timeline: &mut Timeline, mask: &Mask) {
    names(&mut timeline.netns_name, mask);
    reasons(&mut timeline.drops, mask);
    for point in &mut timeline.points {
        reasons(&mut point.drops, mask);
    }
    texts(
        timeline.events.iter_mut().map(|event| &mut event.text),
        mask,
    );
}

fn victims(victims: &mut Victims, mask: &Mask) {
    for Flow {
        netns_name,
        reason,
        protocol,
        src,
        dst,
        ..
    } in &mut victims.flows
    {
        names([netns_name], mask);
        texts([reason, protocol], mask);
        *src = mask.address(src);
        *dst = mask.address(dst);
    }
    for Service { protocol, dst, .. } in &mut victims.services {
        texts([protocol], mask);
        *dst = mask.address(dst);
    }
    for Sender {
        process,
        unit,
        container,
        names: called,
        packets: _,
    } in &mut victims.senders
    {
        *process = mask.process(process);
        names(unit.iter_mut().chain(container), mask);
        self::called(called, mask);
    }
}

fn census(census: &mut Census, mask: &Mask) {
    texts([&mut census.cause], mask);
    for Share { key, owner, .. } in census.sources.iter_mut().chain(&mut census.destinations) {
        *key = mask.address(key);
        names(owner, mask);
    }
    for Share { key, owner, .. } in &mut census.services {
        texts([key], mask);
        names(owner, mask);
    }
    for Share { key, owner, .. } in &mut census.owners {
        names([key], mask);
        names(owner, mask);
    }
}

fn limits(limits: &mut Limits, mask: &Mask) {
    for change in &mut limits.changes {
        texts(&mut change.made_by, mask);
    }
    for Survives {
        boot,
        service_restart,
        module_reload,
        caveats,
        ..
    } in limits.before.iter_mut().chain(&mut limits.after)
    {
        let outcomes = [boot, service_restart, module_reload];
        texts(outcomes.map(|outcome| &mut outcome.because), mask);
        texts(caveats, mask);
    }
}

fn fix(fix: &mut Fix, mask: &Mask) {
    texts([&mut fix.action, &mut fix.text], mask);
    texts(&mut fix.undo, mask);
    for Step {
        kind,
        path,
        before,
        after,
        why,
        diff,
    } in &mut fix.steps
    {
        texts([kind, path, why], mask);
        texts(before.iter_mut().chain(after).chain(diff), mask);
    }
}

fn host(host: &mut Host, mask: &Mask) {
    names([&mut host.host], mask);
    texts([&mut host.kernel], mask);
    texts(&mut host.distribution, mask);
    for run in &mut host.runs {
        texts([&mut run.version], mask);
        texts(&mut run.backend, mask);
        texts(&mut run.warnings, mask);
    }
}

fn method(method: &mut Method, mask: &Mask) {
    for gap in &mut method.gaps {
        texts([&mut gap.why], mask);
        texts(&mut gap.detail, mask);
    }
    for line in &mut method.log.shown {
        line.text = Mask::log_line(&line.text);
    }
    texts(&mut method.notes, mask);
}
