//! Dates as templates write them, in UTC.

use jiff::Timestamp;
use jiff::fmt::strtime;
use std::time::SystemTime;

/// The time in a format of `strftime`; `Err` says what is wrong with the format, or that the year is beyond 9999.
pub(crate) fn format_time(format: &str, time: SystemTime) -> Result<String, String> {
    let time = Timestamp::try_from(time).and_then(|timestamp| strtime::format(format, timestamp));
    time.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn known_days() {
        let at = |seconds| format_time("%a %A %d %b %B %Y %y %m %H:%M:%S %%", UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
        assert_eq!(at(0), "Thu Thursday 01 Jan January 1970 70 01 00:00:00 %");
        assert_eq!(at(951_782_400 + 3_723), "Tue Tuesday 29 Feb February 2000 00 02 01:02:03 %");
        assert_eq!(at(1_735_689_599), "Tue Tuesday 31 Dec December 2024 24 12 23:59:59 %");
        assert!(format_time("%!", UNIX_EPOCH).is_err());
    }
}
