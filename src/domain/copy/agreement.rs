//! When a copy agreed with its source, by both clocks of the host: the one that tells the time can be set.

use crate::domain::moment::{BootTime, Moment};

/// A reading of both clocks of a host, taken when a copy agreed with its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// The time.
    pub at: Moment,
    /// The time since the host started, which nobody sets. It means nothing in another boot.
    pub since_boot: BootTime,
    /// Id of that boot; empty if it is not known.
    pub boot: String,
}

impl Agreement {
    /// Reads the two values that a copy's file has of it. Earlier versions do not know the second one, which is then missing, or that of
    /// another agreement.
    pub fn from_texts(at: &str, in_boot: Option<&str>) -> Option<Self> {
        let known = in_boot.and_then(|text| text.strip_prefix(at)?.strip_prefix(' ')?.split_once(' '));
        let known = known.and_then(|(since_boot, boot)| Some((since_boot.parse().ok()?, boot)));
        let (since_boot, boot) = known.unwrap_or_default();
        let at = Moment::from_micros(at.parse().ok()?);
        Some(Self { at, since_boot: BootTime::from_micros(since_boot), boot: boot.to_owned() })
    }

    /// Returns the two values.
    pub fn texts(&self) -> [String; 2] {
        let at = self.at.micros();
        [at.to_string(), format!("{at} {} {}", self.since_boot.micros(), self.boot)]
    }

    /// Microseconds from this reading to a later one. Negative only if the readings are of two boots, or hosts, and the clock was set
    /// back in between: then nobody knows.
    pub fn age(&self, now: &Self) -> i64 {
        if !self.boot.is_empty() && self.boot == now.boot {
            return now.since_boot.micros().saturating_sub(self.since_boot.micros()).max(0);
        }
        now.at.micros().saturating_sub(self.at.micros())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(at: i64, since_boot: i64, boot: &str) -> Agreement {
        Agreement { at: Moment::from_micros(at), since_boot: BootTime::from_micros(since_boot), boot: boot.to_owned() }
    }

    #[test]
    fn age_is_that_of_the_clock_which_nobody_sets_and_in_another_boot_that_of_the_other() {
        let agreed = reading(1_000, 70, "a");
        assert_eq!(agreed.age(&reading(900, 75, "a")), 5, "set back");
        assert_eq!(agreed.age(&reading(9_000, 75, "a")), 5, "set forward");
        assert_eq!(agreed.age(&reading(1_400, 3, "b")), 400);
        assert_eq!(agreed.age(&reading(900, 3, "b")), -100);
        assert_eq!(reading(1_000, 0, "").age(&reading(1_400, 3, "")), 400);
    }

    #[test]
    fn reading_survives_its_texts_and_that_of_an_earlier_version_has_no_boot() {
        let agreed = reading(1_000, 70, "a-b");
        let [at, boot] = agreed.texts();
        assert_eq!(Agreement::from_texts(&at, Some(&boot)), Some(agreed));
        assert_eq!(Agreement::from_texts("5", None), Some(reading(5, 0, "")));
        for other in ["x", "5", "50 70 a-b", "4 70 a-b"] {
            assert_eq!(Agreement::from_texts("5", Some(other)), Some(reading(5, 0, "")), "{other}");
        }
        assert_eq!(Agreement::from_texts("x", None), None);
    }
}
