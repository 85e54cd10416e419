// Open drawers of the admins' screen in its URL.

type Act = 'edit' | 'give' | 'quota' | 'traffic';

/** An open drawer that gives users away is `give-NAME`; one that edits is `edit-NAME`, the quota is `quota-NAME`: names may be anything, also `new`. */
export const drawerOf = (act: Act, username: string) => `${act}-${username}`;
export const named = (drawer: string | undefined, act: Act) => (drawer?.startsWith(`${act}-`) ? drawer.slice(act.length + 1) : undefined);
