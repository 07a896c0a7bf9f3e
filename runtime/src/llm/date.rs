//! Dates as templates write them, in UTC.

use std::time::{SystemTime, UNIX_EPOCH};

const MONTHS: [&str; 12] =
    ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];

/// The day of the week on which the epoch began comes first.
const DAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];

struct Date {
    year: i64,
    /// From 1.
    month: i64,
    day: i64,
    day_of_week: &'static str,
    second_of_day: i64,
}

impl Date {
    fn new(time: SystemTime) -> Self {
        let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
        let days = seconds.div_euclid(86_400);
        let (year, month, day) = civil(days);
        let day_of_week = DAYS.get(days.rem_euclid(7) as usize).copied().unwrap_or_default();
        Self { year, month, day, day_of_week, second_of_day: seconds.rem_euclid(86_400) }
    }

    fn month_name(&self) -> &'static str {
        MONTHS.get(self.month as usize - 1).copied().unwrap_or_default()
    }

    fn field(&self, letter: char) -> Option<String> {
        let short = |name: &str| name.get(..3).unwrap_or(name).to_owned();
        Some(match letter {
            'Y' => self.year.to_string(),
            'y' => format!("{:02}", self.year % 100),
            'm' => format!("{:02}", self.month),
            'B' => self.month_name().to_owned(),
            'b' => short(self.month_name()),
            'd' => format!("{:02}", self.day),
            'A' => self.day_of_week.to_owned(),
            'a' => short(self.day_of_week),
            'H' => format!("{:02}", self.second_of_day / 3600),
            'M' => format!("{:02}", self.second_of_day / 60 % 60),
            'S' => format!("{:02}", self.second_of_day % 60),
            '%' => "%".to_owned(),
            _ => return None,
        })
    }
}

/// Year, month and day, by counting from 1 March of the year 0, after which leap days come last.
fn civil(days_since_epoch: i64) -> (i64, i64, i64) {
    let days = days_since_epoch + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

/// The time in a format of `strftime`; `Err` holds a field that is not known.
pub(crate) fn format_time(format: &str, time: SystemTime) -> Result<String, char> {
    let date = Date::new(time);
    let (mut text, mut letters) = (String::new(), format.chars());
    while let Some(letter) = letters.next() {
        match letter {
            '%' => {
                let field = letters.next().unwrap_or('%');
                text += &date.field(field).ok_or(field)?;
            }
            other => text.push(other),
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn known_days() {
        let at = |seconds| format_time("%a %A %d %b %B %Y %y %m %H:%M:%S %%", UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
        assert_eq!(at(0), "Thu Thursday 01 Jan January 1970 70 01 00:00:00 %");
        assert_eq!(at(951_782_400 + 3_723), "Tue Tuesday 29 Feb February 2000 00 02 01:02:03 %");
        assert_eq!(at(1_735_689_599), "Tue Tuesday 31 Dec December 2024 24 12 23:59:59 %");
        assert_eq!(format_time("%Q", UNIX_EPOCH), Err('Q'));
    }
}
