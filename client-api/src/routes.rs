//! All endpoints, a line each: method and paths come from ruma's metadata for the request that the handler reads.
//!
//! Adding one: a file named after the operation with a `handle`, a line here, its description in `spec/api`.

use std::collections::BTreeSet;

use actix_web::{FromRequest, Handler, Responder, http::Method};
use ruma::api::{
    Metadata,
    client::{
        relations::{
            get_relating_events, get_relating_events_with_rel_type,
            get_relating_events_with_rel_type_and_event_type,
        },
        sync::sync_events,
    },
    path_builder::PathBuilder as _,
};

use crate::{
    account, account_data, admin, device, directory, discovery, dispatch::Endpoint, extract::Asks,
    filter, legacy, limits::Class, presence, profile, push, reporting, room, router::Router,
    search, session, socket, sync, thirdparty, voip,
};

/// The whole table.
pub(crate) fn all() -> Router {
    let mut router = Router::default();
    discovery(&mut router);
    rooms(&mut router);
    delays(&mut router);
    membership(&mut router);
    reading(&mut router);
    waiting(&mut router);
    legacy(&mut router);
    aliases(&mut router);
    session(&mut router);
    account(&mut router);
    device(&mut router);
    profile(&mut router);
    account_data(&mut router);
    filter(&mut router);
    push(&mut router);
    reporting(&mut router);
    networks(&mut router);
    admin(&mut router);
    router
}

fn rooms(router: &mut Router) {
    let sends = Some(Class::Sends);
    router.limited(Some(Class::Requests), room::create_room::handle);
    router.limited(Some(Class::Requests), room::upgrade_room::handle);
    router.limited(sends, room::send_message_event::handle);
    router.limited(sends, room::send_state_event::handle);
    router.limited(sends, room::redact_event::handle);
    router.limited(sends, room::create_typing_event::handle);
    router.limited(sends, room::create_receipt::handle);
    router.limited(sends, room::set_read_marker::handle);
    // The state key may be missing together with its slash.
    for base in ["/_matrix/client/v3", "/_matrix/client/r0"] {
        let path = &*format!("{base}/rooms/{{room_id}}/state/{{event_type}}");
        router.custom(&Method::PUT, &[path], sends, room::send_state_event::handle);
        router.custom(
            &Method::GET,
            &[path],
            None,
            room::get_state_event_for_key::handle,
        );
    }
}

fn delays(router: &mut Router) {
    let (get, post) = (&Method::GET, &Method::POST);
    let requests = Some(Class::Requests);
    let path = &[room::thread_subscription::PATH];
    router.custom(get, path, None, room::thread_subscription::get);
    router.custom(&Method::PUT, path, requests, room::thread_subscription::put);
    router.custom(
        &Method::DELETE,
        path,
        requests,
        room::thread_subscription::delete,
    );
    let path = &[room::thread_subscriptions::PATH];
    router.custom(get, path, requests, room::thread_subscriptions::handle);
    router.custom(get, &[room::delay::LIST], requests, room::delay::list);
    router.custom(post, &[room::delay::ONE], None, room::delay::manage);
    router.custom(post, &[room::delay::ACTION], None, room::delay::act);
}

fn membership(router: &mut Router) {
    router.endpoint(room::join_room_by_id::handle);
    router.endpoint(room::join_room_by_id_or_alias::handle);
    router.endpoint(room::knock_room::handle);
    router.endpoint(room::invite_user::handle);
    router.endpoint(room::leave_room::handle);
    router.endpoint(room::forget_room::handle);
    router.endpoint(room::kick_user::handle);
    router.endpoint(room::ban_user::handle);
    router.endpoint(room::unban_user::handle);
    router.endpoint(room::joined_rooms::handle);
    router.endpoint(room::get_mutual_rooms::handle);
}

fn reading(router: &mut Router) {
    router.endpoint(room::get_state_events::handle);
    router.endpoint(room::get_state_event_for_key::handle);
    router.endpoint(room::get_member_events::handle);
    router.endpoint(room::joined_members::handle);
    router.endpoint(room::get_room_event::handle);
    router.endpoint(room::get_message_events::handle);
    router.endpoint(room::get_context::handle);
    router.endpoint(room::get_event_by_timestamp::handle);
    router.endpoint(room::get_relating_events::handle::<get_relating_events::v1::Request>);
    router.endpoint(
        room::get_relating_events::handle::<get_relating_events_with_rel_type::v1::Request>,
    );
    router.endpoint(
        room::get_relating_events::handle::<
            get_relating_events_with_rel_type_and_event_type::v1::Request,
        >,
    );
    router.endpoint(room::get_thread_roots::handle);
    router.limited(Some(Class::Requests), search::handle);
    router.endpoint(room::aliases::handle);
    router.endpoint(room::get_hierarchy::handle);
    router.endpoint(room::get_summary::handle);
    let paths = &room::get_summary::UNSTABLE_PATHS;
    router.custom(&Method::GET, paths, None, room::get_summary::handle);
    router.custom(
        &Method::GET,
        &room::room_initial_sync::PATHS,
        None,
        room::room_initial_sync::handle,
    );
}

/// What clients of before `/sync` ask for.
fn legacy(router: &mut Router) {
    let get = &Method::GET;
    let requests = Some(Class::Requests);
    let paths = &legacy::initial_sync::PATHS;
    router.custom(get, paths, requests, legacy::initial_sync::handle);
    let paths = &legacy::get_events::PATHS;
    router.custom(get, paths, None, legacy::get_events::handle);
    let paths = &legacy::get_one_event::PATHS;
    router.custom(get, paths, None, legacy::get_one_event::handle);
}

fn aliases(router: &mut Router) {
    router.endpoint(directory::create_alias::handle);
    router.endpoint(directory::get_alias::handle);
    router.endpoint(directory::delete_alias::handle);
    router.endpoint(directory::get_room_visibility::handle);
    router.endpoint(directory::set_room_visibility::handle);
    router.endpoint(directory::get_public_rooms::handle);
    router.endpoint(directory::query_public_rooms::handle);
    router.endpoint(directory::search_users::handle);
}

fn waiting(router: &mut Router) {
    router.typed::<sync_events::v3::Request>(&Endpoint::waiting(None, sync::handle));
    let path = "/_matrix/client/unstable/org.matrix.msc2108/sync/sse";
    let requests = Some(Class::Requests);
    router.custom(&Method::GET, &[path], requests, sync::events::handle);
    let path = "/_matrix/client/v4/sync";
    let endpoint = Endpoint::waiting(None, sync::sliding::handle_current);
    router.add(Method::POST, path, endpoint);
    let path = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync";
    let endpoint = Endpoint::waiting(None, sync::sliding::handle_legacy);
    router.add(Method::POST, path, endpoint);
    router.endpoint(presence::get_presence::handle);
    router.limited(Some(Class::Requests), presence::set_presence::handle);
    let paths = [
        "/_matrix/client/unstable/org.rookery.ws/stream",
        "/_matrix/client/ws/r0",
    ];
    router.custom(&Method::GET, &paths, None, socket::handle);
}

fn discovery(router: &mut Router) {
    router.endpoint(discovery::get_supported_versions::handle);
    router.endpoint(discovery::get_capabilities::handle);
}

fn session(router: &mut Router) {
    router.endpoint(session::get_login_flows::handle);
    router.limited(Some(Class::Logins), session::login::handle);
    router.endpoint(session::refresh::handle);
    router.endpoint(session::logout::handle);
    router.endpoint(session::logout_all::handle);
}

fn account(router: &mut Router) {
    router.limited(Some(Class::Logins), account::register::handle);
    router.endpoint(account::check_username_availability::handle);
    router.limited(
        Some(Class::Logins),
        account::registration_token_validity::handle,
    );
    router.endpoint(account::get_token_owner::handle);
    router.endpoint(account::get_3pids::handle);
    router.endpoint(account::request_openid_token::handle);
    router.endpoint(account::change_password::handle);
    router.endpoint(account::deactivate_account::handle);
}

fn device(router: &mut Router) {
    router.endpoint(device::get_devices::handle);
    router.endpoint(device::get_device::handle);
    router.endpoint(device::update_device::handle);
    router.endpoint(device::delete_device::handle);
    router.endpoint(device::delete_devices::handle);
}

fn profile(router: &mut Router) {
    router.endpoint(profile::get_user_profile::handle);
    router.endpoint(profile::get_profile_field::handle);
    router.endpoint(profile::set_profile_field::handle);
    router.endpoint(profile::delete_profile_field::handle);
}

fn account_data(router: &mut Router) {
    router.endpoint(account_data::get_account_data::handle);
    router.endpoint(account_data::set_account_data::handle);
    router.endpoint(account_data::get_account_data_per_room::handle);
    router.endpoint(account_data::set_account_data_per_room::handle);
    let delete = &Method::DELETE;
    let path = &[account_data::delete_account_data::GLOBAL];
    router.custom(
        delete,
        path,
        None,
        account_data::delete_account_data::handle,
    );
    let path = &[account_data::delete_account_data::ROOM];
    router.custom(
        delete,
        path,
        None,
        account_data::delete_account_data::handle_for_room,
    );
    router.endpoint(account_data::get_room_tags::handle);
    router.endpoint(account_data::set_room_tag::handle);
    router.endpoint(account_data::delete_room_tag::handle);
}

fn networks(router: &mut Router) {
    router.endpoint(voip::get_turn_server::handle);
    let transports = voip::get_rtc_transports::PATH;
    router.custom(
        &Method::GET,
        &[transports],
        None,
        voip::get_rtc_transports::handle,
    );
    router.endpoint(thirdparty::get_protocols::handle);
    router.endpoint(thirdparty::get_protocol::handle);
    router.endpoint(thirdparty::get_locations::of_protocol);
    router.endpoint(thirdparty::get_locations::of_alias);
    router.endpoint(thirdparty::get_users::of_protocol);
    router.endpoint(thirdparty::get_users::of_user);
}

fn filter(router: &mut Router) {
    router.endpoint(filter::define_filter::handle);
    router.endpoint(filter::get_filter::handle);
}

fn push(router: &mut Router) {
    router.endpoint(push::get_notifications::handle);
    router.endpoint(push::get_pushers::handle);
    router.endpoint(push::set_pusher::handle);
    let paths = &[push::get_web_push_key::PATH];
    router.custom(&Method::GET, paths, None, push::get_web_push_key::handle);
    let paths = &[push::unsubscribe::PATH];
    router.custom(&Method::GET, paths, None, push::unsubscribe::ask);
    router.custom(&Method::POST, paths, None, push::unsubscribe::handle);
    router.endpoint(push::get_pushrules_all::handle);
    router.endpoint(push::get_pushrules_global_scope::handle);
    router.endpoint(push::get_pushrule::handle);
    router.endpoint(push::set_pushrule::handle);
    router.endpoint(push::delete_pushrule::handle);
    router.endpoint(push::get_pushrule_enabled::handle);
    router.endpoint(push::set_pushrule_enabled::handle);
    router.endpoint(push::get_pushrule_actions::handle);
    router.endpoint(push::set_pushrule_actions::handle);
}

fn reporting(router: &mut Router) {
    router.limited(Some(Class::Requests), reporting::report_content::handle);
    router.endpoint(reporting::report_room::handle);
    router.endpoint(reporting::report_user::handle);
}

fn admin(router: &mut Router) {
    let paths = &[admin::REGISTER];
    router.custom(&Method::GET, paths, None, admin::get_nonce::handle);
    router.custom(
        &Method::POST,
        paths,
        None,
        admin::register_with_shared_secret::handle,
    );
    let (get, post, put) = (&Method::GET, &Method::POST, &Method::PUT);
    let path = &[admin::send_server_notice::PATH];
    router.custom(post, path, None, admin::send_server_notice::post);
    let path = &[admin::send_server_notice::PATH_TXN];
    router.custom(put, path, None, admin::send_server_notice::put);
    let path = &[admin::event_reports::LIST];
    router.custom(get, path, None, admin::event_reports::list);
    let path = &[admin::event_reports::ONE];
    router.custom(get, path, None, admin::event_reports::get);
    router.custom(&Method::DELETE, path, None, admin::event_reports::delete);
}

impl Router {
    /// Adds a handler for the ruma request that it reads, under all stable paths and their `r0` forms.
    fn endpoint<F, Args>(&mut self, handler: F)
    where
        F: Handler<Args> + Send + Sync,
        Args: FromRequest + Asks,
        F::Output: Responder,
    {
        let class = <Args::Request as Metadata>::RATE_LIMITED.then_some(Class::Requests);
        self.limited(class, handler);
    }

    /// Adds a handler under paths that ruma has no request for.
    pub(crate) fn custom<F, Args>(
        &mut self,
        method: &Method,
        paths: &[&str],
        class: Option<Class>,
        handler: F,
    ) where
        F: Handler<Args> + Send + Sync,
        Args: FromRequest,
        F::Output: Responder,
    {
        let endpoint = Endpoint::new(class, handler);
        for path in paths {
            self.add(method.clone(), path, endpoint.clone());
        }
    }

    /// Like [`Router::endpoint`], but counted against this class of limits.
    fn limited<F, Args>(&mut self, class: Option<Class>, handler: F)
    where
        F: Handler<Args> + Send + Sync,
        Args: FromRequest + Asks,
        F::Output: Responder,
    {
        self.typed::<Args::Request>(&Endpoint::new(class, handler));
    }

    /// Adds an endpoint under the paths of a ruma request.
    fn typed<R: Metadata>(&mut self, endpoint: &Endpoint) {
        let method = method_of::<R>();
        for path in paths_of::<R>() {
            self.add(method.clone(), &path, endpoint.clone());
        }
    }
}

/// The method of a request, in actix's type.
fn method_of<R: Metadata>() -> Method {
    Method::from_bytes(R::METHOD.as_str().as_bytes()).expect("a method of ruma's is a method")
}

/// The stable paths of a request. A path of `v3` is also served as `r0`, as clients from before 2021 ask for it.
fn paths_of<R: Metadata>() -> BTreeSet<String> {
    let builder = R::PATH_BUILDER;
    let stable = builder
        .all_paths()
        .filter(|path| !path.contains("/unstable/"));
    let old = |path: &str| path.replacen("/_matrix/client/v3/", "/_matrix/client/r0/", 1);
    stable
        .flat_map(|path| [path.to_owned(), old(path)])
        .collect()
}
