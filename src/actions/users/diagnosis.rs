//! Diagnoses a user: reads what is known about the way from the app to the nodes, and derives what stands in the way.

use rand::Rng;

use crate::actions::Panel;
use crate::domain::admin::Admin;
use crate::domain::diagnosis::{AppFacts, Diagnosis, Facts, HostFacts, NodeFacts, UsedUpQuota, diagnose};
use crate::domain::subscription_settings::SubscriptionSettings;
use crate::domain::user::User;
use crate::store::StoreError;
use crate::store::access::{admins, quotas};
use crate::store::users::diagnosis::{self, Survey};
use crate::subscription::Request;
use crate::subscription::client_rules::ClientRules;
use crate::subscription::explain::{disabled_hosts, explain};

/// The knowledge of the database about a user's services, nodes and owner.
#[derive(Clone, Debug)]
pub struct Known {
    survey: Survey,
    disabled_owner: Option<(i64, String)>,
    used_up_quota: Option<UsedUpQuota>,
}

/// Reads what the database knows about a user's services, nodes and owner. Only who may read nodes sees why they fail, because
/// these messages have the addresses of nodes.
pub async fn read(panel: &Panel, may_read_nodes: bool, user: &User) -> Result<Known, StoreError> {
    let mut survey = diagnosis::of_user(&panel.db, user.id).await?;
    if !may_read_nodes {
        survey.nodes = survey.nodes.into_iter().map(|node| NodeFacts { message: None, ..node }).collect();
    }
    let owner = match &user.owner {
        Some(owner) => admins::by_username(&panel.db, &owner.username).await?,
        None => None,
    };
    let used_up_quota = match &owner {
        Some(owner) if !user.enabled => used_up_quota(panel, owner, user).await?,
        _ => None,
    };
    // A disabled sudo admin can sign in all the same.
    let disabled_owner = owner.filter(|owner| !owner.enabled && !owner.is_sudo);
    Ok(Known { survey, disabled_owner: disabled_owner.map(|owner| (owner.id.0, owner.username)), used_up_quota })
}

/// Returns the quota of the owner, if it has disabled the user and is still used up.
async fn used_up_quota(panel: &Panel, owner: &Admin, user: &User) -> Result<Option<UsedUpQuota>, StoreError> {
    if !quotas::disabled::has(&panel.db, user.id).await? {
        return Ok(None);
    }
    let used = quotas::use_of(&panel.db, owner.id, panel.clock.now()).await?.traffic;
    let quota = quotas::of_admin(&panel.db, owner.id).await?.filter(|quota| quota.of.quota.disables(used));
    let limit = quota.and_then(|quota| quota.of.quota.traffic);
    Ok(limit.map(|limit| UsedUpQuota { admin: owner.id.0, name: owner.username.clone(), used, limit }))
}

impl Known {
    /// Diagnoses the user of the request, for its client.
    pub fn diagnosis(self, rules: &ClientRules, request: &Request<'_>, rng: &mut dyn Rng) -> Diagnosis {
        let Survey { services, absent_inbounds, nodes, waiting_since } = self.survey;
        // The hosts that the user gets once the account works.
        let settings = SubscriptionSettings { placeholder_if_disabled: false, ..request.settings.clone() };
        let request = Request { settings: &settings, ..request.clone() };
        let explained = explain(None, rules, &request, rng);
        let hosts = explained.hosts.into_iter().map(|host| HostFacts {
            id: host.id.0,
            remark: host.remark,
            node: host.node.map(|node| node.0),
            left_out: host.left_out,
        });
        let user_agent = request.client.user_agent();
        let facts = Facts {
            user: request.variables.user(),
            disabled_owner: self.disabled_owner,
            used_up_quota: self.used_up_quota,
            services,
            absent_inbounds,
            nodes,
            waiting_since,
            app: AppFacts {
                user_agent: user_agent.to_owned(),
                program: explained.program.map(|program| program.name),
                core_version: explained.core_version,
                result: rules.result(user_agent),
            },
            hosts: hosts.collect(),
            disabled_hosts: disabled_hosts(&request).map(|(id, remark)| (id.0, remark.to_owned())).collect(),
        };
        diagnose(&facts, request.variables.now())
    }
}
