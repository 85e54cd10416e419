// The command palette: pages, users and nodes by name, all with the keyboard.

import { useQuery } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { useDeferredValue, useEffect, useId, useState } from 'react';
import { Dialog } from 'react-aria-components/Dialog';
import { Modal, ModalOverlay } from 'react-aria-components/Modal';
import * as queries from '../api/queries.ts';
import { useI18n } from '../i18n/index.tsx';
import { Icon, type IconName } from '../ui/icons.tsx';
import type { Place } from './Shell.tsx';
import { useMe } from './Shell.tsx';

interface Entry { id: string; icon: IconName; label: string; run: () => void }

export function Palette({ places, onClose }: { places: Place[]; onClose: () => void }) {
  const { t } = useI18n();
  const navigate = useNavigate();
  const me = useMe();
  const id = useId();
  const [typed, setTyped] = useState('');
  const [at, setAt] = useState(0);
  const words = useDeferredValue(typed.trim().toLowerCase());
  const found = useQuery({ ...queries.users({ username: [words], size: 8 }), enabled: words !== '', refetchInterval: false });
  const nodes = useQuery({ ...queries.nodes(), enabled: me?.is_sudo === true && words !== '', refetchInterval: false });
  const entries: Entry[] = [
    ...places
      .filter((place) => t(place.key).toLowerCase().includes(words) || place.to.includes(words))
      .map((place) => ({ id: place.to, icon: place.icon, label: t(place.key), run: () => void navigate({ to: place.to }) })),
    ...(t('users.new').toLowerCase().includes(words)
      ? [{ id: 'new', icon: 'plus' as const, label: t('users.new'), run: () => void navigate({ to: '/users', search: { drawer: 'new' } }) }]
      : []),
    ...(words === '' ? [] : (found.data?.items ?? [])).map((user) => ({
      id: `u-${user.id}`, icon: 'users' as const, label: user.username, run: () => void navigate({ to: '/users/$name', params: { name: user.username } }),
    })),
    ...(words === '' ? [] : (nodes.data?.items ?? []).filter((node) => node.name.toLowerCase().includes(words))).map((node) => ({
      id: `n-${node.id}`, icon: 'nodes' as const, label: node.name, run: () => void navigate({ to: '/nodes/$id', params: { id: String(node.id) } }),
    })),
  ];
  const chosen = Math.min(at, entries.length - 1);
  useEffect(() => setAt(0), [words]);
  const go = (entry: Entry | undefined) => {
    if (entry === undefined) return;
    onClose();
    entry.run();
  };
  return (
    <ModalOverlay isOpen isDismissable onOpenChange={(open) => { if (!open) onClose(); }} className="veil">
      <Modal className="palette">
        <Dialog aria-label={t('palette.title')}>
          <input
            className="input"
            autoFocus
            role="combobox"
            aria-expanded="true"
            aria-controls={id}
            aria-activedescendant={entries[chosen] && `${id}-${chosen}`}
            aria-label={t('palette.title')}
            placeholder={t('palette.hint')}
            value={typed}
            onChange={(event) => setTyped(event.target.value)}
            onKeyDown={(event) => {
              const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
              if (step !== 0 && entries.length > 0) {
                event.preventDefault();
                setAt((chosen + step + entries.length) % entries.length);
              } else if (event.key === 'Enter') {
                event.preventDefault();
                go(entries[chosen]);
              }
            }}
          />
          <ul role="listbox" id={id} aria-label={t('palette.title')}>
            {entries.map((entry, index) => (
              <li key={entry.id} id={`${id}-${index}`} role="option" aria-selected={index === chosen} onPointerMove={() => setAt(index)} onClick={() => go(entry)}>
                <Icon name={entry.icon} />
                <bdi>{entry.label}</bdi>
              </li>
            ))}
            {entries.length === 0 && <li role="option" aria-selected="false" aria-disabled="true" className="soft">{t('palette.none')}</li>}
          </ul>
        </Dialog>
      </Modal>
    </ModalOverlay>
  );
}
