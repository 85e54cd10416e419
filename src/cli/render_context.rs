//! How commands get the templates and addresses that rendering needs besides the database.

use crate::actions::subscriptions::RenderContext;
use crate::config::Settings;

/// Finds the templates and addresses that rendering needs besides the database; `app` has the implementation.
pub type FindRenderContext = fn(&Settings) -> RenderContext;
