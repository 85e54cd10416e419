// Where the panel's API is.

/** The panel's root: the dashboard may lie below any path, and its page says how far. */
const marked = document.querySelector<HTMLMetaElement>('meta[name="panel-root"]')?.content ?? '../';
export const root = new URL(marked, new URL('.', document.baseURI)).href;
