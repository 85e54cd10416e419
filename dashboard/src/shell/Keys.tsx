// The keys of the current screen, and those that work everywhere.

import { useState } from 'react';
import { Dialog } from 'react-aria-components/Dialog';
import { Modal, ModalOverlay } from 'react-aria-components/Modal';
import { useI18n } from '../i18n/index.tsx';
import { Button } from '../ui/basics.tsx';
import { type KeyHint, keysOnScreen } from '../ui/keys.ts';
import type { Place } from './places.ts';

export function Keys({ places, onClose }: { places: Place[]; onClose: () => void }) {
  const { t } = useI18n();
  const [here] = useState(keysOnScreen);
  const everywhere: KeyHint[] = [['Ctrl K', 'keys.palette'], ...places.map(({ letter, key }): KeyHint => [`g ${letter}`, key]), ['Esc', 'close'], ['?', 'keys.title']];
  const list = (hints: readonly KeyHint[]) => (
    <dl className="facts keys">
      {hints.map(([keys, key]) => (
        <div key={keys} style={{ display: 'contents' }}>
          <dt dir="ltr">{keys.split(' ').map((one) => <kbd key={one} style={{ marginInlineEnd: 4 }}>{one}</kbd>)}</dt>
          <dd>{t(key)}</dd>
        </div>
      ))}
    </dl>
  );
  return (
    <ModalOverlay isOpen isDismissable onOpenChange={(is) => { if (!is) onClose(); }} className="veil">
      <Modal className="dialog">
        <Dialog aria-label={t('keys.title')}>
          <header><h2>{t('keys.title')}</h2><Button icon="close" look="quiet" label={t('close')} onClick={onClose} /></header>
          <div className="body" style={{ paddingBlockEnd: 24 }}>
            {here.length > 0 && <><h3>{t('keys.here')}</h3>{list(here)}</>}
            <h3>{t('keys.everywhere')}</h3>
            {list(everywhere)}
          </div>
        </Dialog>
      </Modal>
    </ModalOverlay>
  );
}
