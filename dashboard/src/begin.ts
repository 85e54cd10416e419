// The page's first and smallest script: while the libraries arrive, it asks for the texts of the reader's language and for what
// the first screen shows.

import { askEarly } from './api/early.ts';
import { firstLanguage, loadTexts } from './i18n/texts.ts';
import { apiQuery, readUserSearch } from './screens/users/search.ts';

/** A value of the URL as the router reads it. */
function valueOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** The first screen's requests, the most urgent first. */
function firstRequests(): string[] {
  const [path = '', search = ''] = location.hash.slice(1).split('?');
  // Of every screen.
  const all = ['api/admins/current', 'api/events'];
  if (path !== '/users') return all;
  const values = Object.fromEntries([...new URLSearchParams(search)].map(([name, value]) => [name, valueOf(value)]));
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(apiQuery(readUserSearch(values)))) {
    for (const one of [value].flat()) query.append(name, String(one));
  }
  return [`api/users?${query.toString()}`, ...all, 'api/views'];
}

// An error is that of the app, which asks again.
void loadTexts(firstLanguage()).catch(() => undefined);
askEarly(firstRequests());
