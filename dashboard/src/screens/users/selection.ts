// Which users of a list are selected: some, from any of its pages, or all who match its filter.

import { useEffect, useState } from 'react';
import type { User } from '../../api/client.ts';
import { type UserSearch, apiFilter } from './search.ts';
import type { Selection } from './bulk.ts';

type Some = ReadonlyMap<number, string>;

export interface Selecting {
  has: (user: User) => boolean;
  toggle: (user: User) => void;
  /** Selects or clears the users of a page. */
  page: (users: User[], on: boolean) => void;
  /** Selects all who match. */
  everything: () => void;
  clear: () => void;
  /** True when all who match are selected. */
  all: boolean;
  /** Number of the selected, and their names, unless all who match are. */
  count: number;
  names: string[];
  selection: Selection;
}

export function useSelection(search: UserSearch): Selecting {
  const [some, setSome] = useState<Some>(new Map());
  const [all, setAll] = useState(false);
  const { q, state, on_nodes, owner, service, ends } = search;
  const clear = () => {
    setSome(new Map());
    setAll(false);
  };
  // What is selected stays in sight: another filter begins another selection.
  useEffect(clear, [q, state, on_nodes, owner, service, ends]);
  const page = (users: User[], on: boolean) => {
    const next = new Map(all ? [] : some);
    for (const { id, username } of users) {
      if (on) next.set(id, username);
      else next.delete(id);
    }
    setAll(false);
    setSome(next);
  };
  return {
    has: (user) => all || some.has(user.id),
    toggle: (user) => page([user], all || !some.has(user.id)),
    page,
    everything: () => setAll(true),
    clear,
    all,
    count: some.size,
    names: [...some.values()],
    selection: all ? { filter: apiFilter(search) } : { ids: [...some.keys()] },
  };
}
