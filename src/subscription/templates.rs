//! The fixed parts of all documents: built in, or supplied by the operator.

use super::pages::Pages;

pub use super::formats::clash::template::ClashTemplate;
pub use super::formats::sing_box::template::SingBoxTemplates;
pub use super::formats::template_object::TemplateError;
pub use super::formats::xray::template::XrayTemplates;

/// The fixed parts of all formats that have some.
#[derive(Clone, Debug)]
pub struct Templates {
    /// For Xray.
    pub xray: XrayTemplates,
    /// For sing-box.
    pub sing_box: SingBoxTemplates,
    /// For Clash and Clash.Meta.
    pub clash: ClashTemplate,
    /// The web pages and the operator's Jinja templates.
    pub pages: Pages,
}

/// A problem of a template of the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateProblem {
    /// A sentence that names the setting and the file.
    pub sentence: String,
    /// The built-in template serves everybody in its place.
    pub is_unused: bool,
}

impl Default for Templates {
    fn default() -> Self {
        Self {
            xray: XrayTemplates::built_in(),
            sing_box: SingBoxTemplates::built_in(),
            clash: ClashTemplate::built_in(),
            pages: Pages::default(),
        }
    }
}
