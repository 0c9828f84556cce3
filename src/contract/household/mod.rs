//! A household: the loop, its members and people, its calendar and holidays, who was seen and greeted.

mod calendar;
mod holiday;
mod loops;
mod member;
mod person;
mod presence;

pub use calendar::{CalendarEvent, CalendarEvents, CalendarFilter};
pub use holiday::{HolidayOverride, Holidays};
pub use loops::{Loop, LoopPatch, LoopStore};
pub use member::{LoopMember, LoopMemberStore, MemberPatch, MemberStatus};
pub use person::{Person, PersonStore};
pub use presence::{Greeted, GreetingPresence, Observed, Presence, Seen};
