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
    /// User-Agents that the program sends: samples, to find out what client rules answer it.
    pub user_agents: &'static [&'static str],
}

impl Core {
    /// The text form in the API.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Xray => "xray",
            Self::SingBox => "sing-box",
            Self::Mihomo => "mihomo",
            Self::Clash => "clash",
            Self::Own => "own",
        }
    }
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
    let mut rules = rules_of_programs(|program| program.reads);
    rules.push(SubscriptionRule { pattern: ".*".to_owned(), result: RuleResult::Base64Links });
    rules
}

/// Rules that answer each known program as `result` says, and no other client.
pub fn rules_of_programs(result: impl Fn(&Program) -> RuleResult) -> Vec<SubscriptionRule> {
    let programs: Vec<_> = PROGRAMS.iter().map(|program| (program.pattern, result(program))).collect();
    let runs = programs.chunk_by(|(_, one), (_, next)| one == next);
    let rule = |run: &[(&str, RuleResult)]| {
        let patterns: Vec<&str> = run.iter().map(|(pattern, _)| *pattern).collect();
        SubscriptionRule { pattern: format!("^(?i:{})", patterns.join("|")), result: run[0].1 }
    };
    runs.map(rule).collect()
}

const MIHOMO: &[&str] = &["mihomo", "clash.meta"];

/// All known programs. Of several that match, the first one counts: narrow patterns come before wide ones.
pub static PROGRAMS: [Program; 33] = [
    mihomo("Mihomo", "mihomo", &["mihomo/1.19.27", "mihomo.party/v1.7.0 (clash.meta)"]),
    mihomo("Clash.Meta", r"clash[. -]?meta", &["clash.meta/v1.19.10", "ClashMetaForAndroid/2.11.3.Meta"]),
    mihomo("Clash Verge", r"clash[ -]?verge", &["clash-verge/v2.4.2", "Clash Verge/2.4"]),
    mihomo("ClashX Meta", r"clashx[. -]?meta", &["ClashX Meta/1.4.0"]),
    mihomo("FlClash", "flclash", &["FlClash/v0.8.80"]),
    mihomo("Flowvy", "flowvy", &["Flowvy/0.3.3 Mihomo/1.19.27"]),
    mihomo("Clash Nyanpasu", r"clash[ -]?nyanpasu", &["clash-nyanpasu/v1.6.1"]),
    mihomo("Clash Mi", r"clash[ -]?mi\b", &["ClashMi/1.0.4"]),
    mihomo("Clash Party", r"clash[ -]?party", &["Clash Party/1.0"]),
    mihomo("Koala Clash", r"koala[ -]?clash", &["koala-clash/1.0"]),
    mihomo("Prizrak-Box", r"prizrak[ -]?box", &["Prizrak-Box/1.0"]),
    mihomo("Sparkle", "sparkle/", &["sparkle/1.6.1"]),
    mihomo("ClashFX", "clashfx", &["ClashFX/1.0"]),
    mihomo("Murge", "murge", &["Murge/1.0"]),
    mihomo("OpenClash", "openclash", &["OpenClash/0.47"]),
    mihomo("GUI.for.Clash", r"gui\.for\.clash", &["GUI.for.Clash/1.9.9"]),
    // Reads Mihomo's proxies of most types.
    Program {
        name: "Stash",
        pattern: "stash",
        core: Core::Own,
        reads: RuleResult::ClashMeta,
        core_names: &[],
        user_agents: &["Stash/3.1 Clash/1.9"],
    },
    Program {
        name: "Clash",
        pattern: "clash",
        core: Core::Clash,
        reads: RuleResult::Clash,
        core_names: &[],
        user_agents: &["ClashforWindows/0.20.39", "clash/1.0"],
    },
    // The official apps have the version of their core.
    sing_box("sing-box for Android", "sfa", &["sing-box", "sfa"], &["SFA/1.12.0 (570; sing-box 1.12.1; language de)"]),
    sing_box("sing-box for iOS", "sfi", &["sing-box", "sfi"], &["SFI/1.12.0 (Build 1; sing-box 1.12.0; language de)"]),
    sing_box(
        "sing-box for macOS",
        "sfm",
        &["sing-box", "sfm"],
        &["SFM/1.12.0 (Build 1; sing-box 1.12.0; language de)"],
    ),
    sing_box("sing-box for tvOS", "sft", &["sing-box", "sft"], &["SFT/1.12.0 (Build 1; sing-box 1.12.0; language de)"]),
    sing_box("sing-box", r"sing[ -]?box", &["sing-box"], &["sing-box 1.13.2"]),
    sing_box("GUI.for.SingBox", r"gui\.for\.singbox", &["sing-box"], &["GUI.for.SingBox/1.9.9"]),
    sing_box("Karing", "karing", &[], &["Karing/1.0.25"]),
    sing_box(
        "Hiddify",
        "hiddify",
        &[],
        &["HiddifyNext/2.5.7 (android) like ClashMeta v2ray sing-box", "Hiddify/2.5.7"],
    ),
    sing_box("husi", "husi", &["sing-box"], &["husi/0.10.1"]),
    xray("Xray", "xray", RuleResult::Xray, &["xray-core", "xray"], &["Xray/26.10.10"]),
    xray(
        "v2rayN",
        r"v2rayN/(?:\d{2,}|[7-9]|6\.(?:4[1-9]|[5-9]\d|\d{3,}))",
        RuleResult::Xray,
        &[],
        &["v2rayN/7.12.7", "v2rayN/6.41"],
    ),
    xray(
        "v2rayNG",
        r"v2rayNG/(?:[2-9]|\d{2,}|1\.(?:9|\d{2,}|8\.(?:1[7-9]|[2-9]\d|\d{3,})))",
        RuleResult::Xray,
        &[],
        &["v2rayNG/2.0.1", "v2rayNG/1.10.3"],
    ),
    xray("Streisand", "streisand", RuleResult::Xray, &[], &["Streisand/1.6"]),
    xray("v2rayN before 6.41", "v2rayN/", RuleResult::Base64Links, &[], &["v2rayN/6.40"]),
    xray("v2rayNG before 1.8.17", "v2rayNG/", RuleResult::Base64Links, &[], &["v2rayNG/1.8.16"]),
];

type Texts = &'static [&'static str];

const fn mihomo(name: &'static str, pattern: &'static str, user_agents: Texts) -> Program {
    Program { name, pattern, core: Core::Mihomo, reads: RuleResult::ClashMeta, core_names: MIHOMO, user_agents }
}

const fn sing_box(name: &'static str, pattern: &'static str, core_names: Texts, user_agents: Texts) -> Program {
    Program { name, pattern, core: Core::SingBox, reads: RuleResult::SingBox, core_names, user_agents }
}

const fn xray(
    name: &'static str,
    pattern: &'static str,
    reads: RuleResult,
    core_names: Texts,
    user_agents: Texts,
) -> Program {
    Program { name, pattern, core: Core::Xray, reads, core_names, user_agents }
}
