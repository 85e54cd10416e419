// Links to hand out: a line with a copy button, and a QR code drawn as one path.

import { useMemo, useState } from 'react';
import { encode } from 'uqr';
import { useI18n } from '../i18n/index.tsx';
import { Button } from './basics.tsx';

/** Copies a text. Without HTTPS browsers have no clipboard, so the old way is tried then. */
export async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement('textarea');
    area.value = text;
    area.style.position = 'fixed';
    area.style.opacity = '0';
    // Inside the open dialog, where focus may go.
    (document.activeElement?.parentElement ?? document.body).append(area);
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    return done;
  }
}

export function CopyButton({ text, label, look = 'quiet', children }: { text: string; label: string; look?: string; children?: string }) {
  const { t } = useI18n();
  const [done, setDone] = useState(false);
  return (
    <Button
      icon={done ? 'check' : 'copy'}
      look={look}
      label={done ? t('copied') : label}
      onClick={() => void copy(text).then((ok) => { setDone(ok); setTimeout(() => setDone(false), 1_500); })}
    >
      {children}
    </Button>
  );
}

export function CopyLine({ text, label }: { text: string; label: string }) {
  return (
    <div className="copyline">
      <code title={text}>{text}</code>
      <CopyButton text={text} label={label} />
    </div>
  );
}

export function QrCode({ text, label }: { text: string; label: string }) {
  const { size, path } = useMemo(() => {
    const { data, size } = encode(text, { border: 3, ecc: 'M' });
    let path = '';
    data.forEach((row, y) => row.forEach((dark, x) => { if (dark) path += `M${x} ${y}h1v1h-1z`; }));
    return { size, path };
  }, [text]);
  return (
    <svg className="qr" viewBox={`0 0 ${size} ${size}`} role="img" aria-label={label} shapeRendering="crispEdges">
      <path d={path} />
    </svg>
  );
}
