//! Programs that fetch subscriptions, as data: how each names itself, what it reads best, and how it tells the version of
//! its core.

use super::client_rule::{RuleResult, SubscriptionRule};

/// A program, or the versions of a program that behave alike.
#[derive(Debug)]
pub struct Program {
    /// The name that users know.
    pub name: &'static str,
    /// A regular expression for the start of the User-Agent, in any case of letters. Its syntax is common to Rust and to
    /// Python, because old panels read exported rules.
    pub pattern: &'static str,
    /// The core inside.
    pub core: Core,
    /// The result that the program reads best.
    pub reads: RuleResult,
    /// The words in the User-Agent before the version of the core, in lower case; the first one found counts. Empty: the
    /// program does not tell the version.
    pub core_names: &'static [&'static str],
}

impl Program {
    /// True for a program that shows no traffic if the header `subscription-userinfo` has no `expire`.
    pub fn needs_expiry(&self) -> bool {
        self.name == "Hiddify"
    }
}

/// The core that makes a program's connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Core {
    /// Xray.
    Xray,
    /// sing-box.
    SingBox,
    /// Mihomo, formerly Clash.Meta.
    Mihomo,
    /// The original Clash.
    Clash,
    /// A core of its own.
    Own,
}

/// The client rules of a new panel: one for each run of programs that read the same, and one for all other clients.
pub fn default_rules() -> Vec<SubscriptionRule> {
    let mut rules: Vec<SubscriptionRule> = PROGRAMS
        .chunk_by(|one, next| one.reads == next.reads)
        .map(|programs| {
            let patterns: Vec<&str> = programs.iter().map(|program| program.pattern).collect();
            SubscriptionRule { pattern: format!("^(?i:{})", patterns.join("|")), result: programs[0].reads }
        })
        .collect();
    rules.push(SubscriptionRule { pattern: ".*".to_owned(), result: RuleResult::Base64Links });
    rules
}

const MIHOMO: &[&str] = &["mihomo", "clash.meta"];

/// All known programs. Of several that match, the first one counts: narrow patterns come before wide ones.
pub static PROGRAMS: [Program; 33] = [
    mihomo("Mihomo", "mihomo"),
    mihomo("Clash.Meta", r"clash[. -]?meta"),
    mihomo("Clash Verge", r"clash[ -]?verge"),
    mihomo("ClashX Meta", r"clashx[. -]?meta"),
    mihomo("FlClash", "flclash"),
    mihomo("Flowvy", "flowvy"),
    mihomo("Clash Nyanpasu", r"clash[ -]?nyanpasu"),
    mihomo("Clash Mi", r"clash[ -]?mi\b"),
    mihomo("Clash Party", r"clash[ -]?party"),
    mihomo("Koala Clash", r"koala[ -]?clash"),
    mihomo("Prizrak-Box", r"prizrak[ -]?box"),
    mihomo("Sparkle", "sparkle/"),
    mihomo("ClashFX", "clashfx"),
    mihomo("Murge", "murge"),
    mihomo("OpenClash", "openclash"),
    mihomo("GUI.for.Clash", r"gui\.for\.clash"),
    // Reads Mihomo's proxies of most types.
    Program { name: "Stash", pattern: "stash", core: Core::Own, reads: RuleResult::ClashMeta, core_names: &[] },
    Program { name: "Clash", pattern: "clash", core: Core::Clash, reads: RuleResult::Clash, core_names: &[] },
    // The official apps have the version of their core.
    sing_box("sing-box for Android", "sfa", &["sing-box", "sfa"]),
    sing_box("sing-box for iOS", "sfi", &["sing-box", "sfi"]),
    sing_box("sing-box for macOS", "sfm", &["sing-box", "sfm"]),
    sing_box("sing-box for tvOS", "sft", &["sing-box", "sft"]),
    sing_box("sing-box", r"sing[ -]?box", &["sing-box"]),
    sing_box("GUI.for.SingBox", r"gui\.for\.singbox", &["sing-box"]),
    sing_box("Karing", "karing", &[]),
    sing_box("Hiddify", "hiddify", &[]),
    sing_box("husi", "husi", &["sing-box"]),
    xray("Xray", "xray", RuleResult::Xray, &["xray-core", "xray"]),
    xray("v2rayN", r"v2rayN/(?:\d{2,}|[7-9]|6\.(?:4[1-9]|[5-9]\d|\d{3,}))", RuleResult::Xray, &[]),
    xray("v2rayNG", r"v2rayNG/(?:[2-9]|\d{2,}|1\.(?:9|\d{2,}|8\.(?:1[7-9]|[2-9]\d|\d{3,})))", RuleResult::Xray, &[]),
    xray("Streisand", "streisand", RuleResult::Xray, &[]),
    xray("v2rayN before 6.41", "v2rayN/", RuleResult::Base64Links, &[]),
    xray("v2rayNG before 1.8.17", "v2rayNG/", RuleResult::Base64Links, &[]),
];

const fn mihomo(name: &'static str, pattern: &'static str) -> Program {
    Program { name, pattern, core: Core::Mihomo, reads: RuleResult::ClashMeta, core_names: MIHOMO }
}

const fn sing_box(name: &'static str, pattern: &'static str, core_names: &'static [&'static str]) -> Program {
    Program { name, pattern, core: Core::SingBox, reads: RuleResult::SingBox, core_names }
}

const fn xray(
    name: &'static str,
    pattern: &'static str,
    reads: RuleResult,
    core_names: &'static [&'static str],
) -> Program {
    Program { name, pattern, core: Core::Xray, reads, core_names }
}
