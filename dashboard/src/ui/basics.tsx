// Buttons, fields, states of a page, and values in the reader's language.

import { type ComponentProps, type ReactNode, useId, useSyncExternalStore } from 'react';
import { statusOf, ApiError } from '../api/errors.ts';
import { type Right, useMay } from '../api/rights.ts';
import { moment } from '../i18n/format.ts';
import { useI18n } from '../i18n/index.tsx';
import { Icon, type IconName } from './icons.tsx';

export type Tone = 'good' | 'attention' | 'bad' | 'off';

type ButtonProps = ComponentProps<'button'> & { icon?: IconName; look?: string; label?: string; needs?: Right };

/** A button. `label` names one that shows only its icon; one that `needs` a right is shown only with it. */
export function Button({ needs, ...rest }: ButtonProps) {
  return needs === undefined ? <PlainButton {...rest} /> : <Allowed needs={needs}><PlainButton {...rest} /></Allowed>;
}

/** What is shown only to those who have a right. */
export function Allowed({ needs, children }: { needs: Right; children: ReactNode }) {
  return useMay()(needs) ? children : null;
}

function PlainButton({ icon, look = '', label, children, ...rest }: Omit<ButtonProps, 'needs'>) {
  return (
    <button type="button" className={`button ${look}${children === undefined ? ' square' : ''}`} aria-label={children === undefined ? label : undefined} title={label} {...rest}>
      {icon && <Icon name={icon} />}
      {children}
    </button>
  );
}

/** A field with label, hint and problem, which screen readers read with it. */
export function Field(props: { label: string; hint?: ReactNode; problem?: string; children: (attributes: { id: string; 'aria-invalid': boolean; 'aria-describedby': string }) => ReactNode }) {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>{props.label}</label>
      {props.children({ id, 'aria-invalid': props.problem !== undefined, 'aria-describedby': `${id}-about` })}
      <div id={`${id}-about`}>
        {props.hint && <p className="hint">{props.hint}</p>}
        {props.problem !== undefined && <p className="problem" role="alert"><bdi>{props.problem}</bdi></p>}
      </div>
    </div>
  );
}

export function Choose(props: ComponentProps<'select'>) {
  return (
    <span className="choose">
      <select {...props} className="select" />
      <Icon name="down" />
    </span>
  );
}

/** One of a few choices, all visible. */
export function Segments<T extends string>(props: { name: string; label: string; value: T; choices: [T, string][]; onChange: (value: T) => void }) {
  return (
    <fieldset>
      <legend className="hidden">{props.label}</legend>
      <div className="segments">
        {props.choices.map(([value, label]) => (
          <label key={value}>
            <input type="radio" name={props.name} checked={props.value === value} onChange={() => props.onChange(value)} />
            {label}
          </label>
        ))}
      </div>
    </fieldset>
  );
}

const SHAPES: Record<Tone, ReactNode> = {
  good: <circle cx="5" cy="5" r="4" />,
  attention: <path d="M5 .5 9.800 9H.2z" />,
  bad: <path d="M5 0l5 5-5 5-5-5z" />,
  off: <path d="M5 1a4 4 0 1 1 0 8 4 4 0 0 1 0-8Zm0 1.600a2.400 2.400 0 1 0 0 4.800 2.400 2.400 0 0 0 0-4.800Z" />,
};

/** A state: colour, shape and word. */
export function Status({ tone, children }: { tone: Tone; children: ReactNode }) {
  return (
    <span className={`status ${tone}`}>
      <svg viewBox="0 0 10 10" aria-hidden="true">{SHAPES[tone]}</svg>
      {children}
    </span>
  );
}

export function Notice({ tone = 'off', children }: { tone?: Tone; children: ReactNode }) {
  return (
    <div className={`notice ${tone}`}>
      <Icon name={tone === 'off' || tone === 'good' ? 'info' : 'alert'} />
      <div className="grow">{children}</div>
    </div>
  );
}

export function Meter({ part, tone }: { part: number; tone?: Tone }) {
  const percent = Math.min(100, Math.max(0, part * 100));
  return (
    <span className={`meter ${tone ?? ''}`} aria-hidden="true">
      <span style={{ inlineSize: `${percent}%` }} />
    </span>
  );
}

/** Milliseconds between two values of `useNow`. */
const TICK = 30_000;
let now = new Date();
let timer: ReturnType<typeof setInterval> | undefined;
const clocks = new Set<() => void>();

function tick(): void {
  now = new Date();
  for (const changed of clocks) changed();
}

function onTick(changed: () => void): () => void {
  if (clocks.size === 0) timer = setInterval(tick, TICK);
  clocks.add(changed);
  return () => {
    clocks.delete(changed);
    if (clocks.size === 0) clearInterval(timer);
  };
}

/** The time, new every half minute, with one timer for all that show it. */
export function useNow(): Date {
  return useSyncExternalStore(onTick, () => {
    if (clocks.size === 0 && Date.now() - now.getTime() > TICK) now = new Date();
    return now;
  });
}

/** A moment: relative, with the exact one on hover and for screen readers. */
export function Moment({ at }: { at: string }) {
  const { f } = useI18n();
  const now = useNow();
  const when = moment(at);
  // What happened since the last tick lies in the past all the same.
  const since = when > now ? new Date() : now;
  return (
    <time dateTime={when.toISOString()} title={f.exact(when)} className="nowrap">
      {f.relative(when, since)}
      <span className="hidden"> ({f.exact(when)})</span>
    </time>
  );
}

/** An error in words: what happened, what to do, and the request's id for the log. */
export function Problem({ error, retry }: { error: unknown; retry?: () => void }) {
  const { t } = useI18n();
  const status = statusOf(error);
  const key =
    status === 0 ? 'error.network' : status === 401 ? 'error.session' : status === 403 ? 'error.forbidden' : status === 404 ? 'error.missing' : status === 409 ? 'error.conflict'
    : status === 422 || status === 400 ? 'error.input' : status === 429 ? 'error.often' : status === 503 ? 'error.busy' : 'error.server';
  const seconds = error instanceof ApiError ? error.retryAfter : null;
  return (
    <div role="alert">
      <Notice tone={status === 403 ? 'off' : 'bad'}>
        <p>{t(key)} {status === 429 && seconds !== null && t('error.wait', { count: seconds })}</p>
        {error instanceof ApiError && (
          <p className="small soft">
            {error.detail !== '' && <bdi dir="ltr">{error.detail}</bdi>}
            {Object.entries(error.fields).map(([name, what]) => <bdi key={name} dir="ltr" style={{ display: 'block' }}>{name}: {what}</bdi>)}
            {status >= 500 && error.requestId !== null && <> · {t('error.id')} <code>{error.requestId}</code></>}
          </p>
        )}
        {retry && status !== 403 && (
          <p style={{ marginBlockStart: 8 }}><Button icon="refresh" onClick={retry}>{t('retry')}</Button></p>
        )}
      </Notice>
    </div>
  );
}

export interface Reading<T> { data: T | undefined; error: unknown; isError: boolean; refetch: () => unknown }

/** What was read since the form that shows it was opened, not what was read before: others may have changed it. */
export function readAgain<T>(read: Reading<T> & { isFetchedAfterMount: boolean }): Reading<T> {
  return read.isFetchedAfterMount ? read : { ...read, data: undefined };
}

/** The states of something read: loading, refused or failed with a retry, there. Old data stays under a failed read. */
export function Loaded<T>({ of, rows = 5, children }: { of: Reading<T>; rows?: number; children: (data: T) => ReactNode }) {
  if (of.data === undefined && of.isError) return <Problem error={of.error} retry={() => void of.refetch()} />;
  if (of.data === undefined) return <Waiting rows={rows} />;
  return (
    <>
      {of.isError && statusOf(of.error) !== 0 && <Problem error={of.error} retry={() => void of.refetch()} />}
      {children(of.data)}
    </>
  );
}

export function Waiting({ rows = 5 }: { rows?: number }) {
  const { t } = useI18n();
  return (
    <div className="stack" role="status" aria-label={t('loading')} style={{ paddingBlock: 12, gap: 18 }}>
      {Array.from({ length: rows }, (_, index) => (
        <span key={index} className="pulse" style={{ inlineSize: `${92 - ((index * 17) % 45)}%` }} />
      ))}
    </div>
  );
}

export function Empty({ title, children, action }: { title: string; children?: ReactNode; action?: ReactNode }) {
  return (
    <div className="empty">
      <h2>{title}</h2>
      {children && <p>{children}</p>}
      {action}
    </div>
  );
}

/** Facts about one thing: name and value. */
export function Facts({ facts }: { facts: [string, ReactNode][] }) {
  return (
    <dl className="facts">
      {facts.map(([name, value]) => (
        <div key={name} style={{ display: 'contents' }}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

export function Panel({ title, aside, children, className = '' }: { title: ReactNode; aside?: ReactNode; children: ReactNode; className?: string }) {
  const id = useId();
  return (
    <section className={`panel ${className}`} aria-labelledby={id}>
      <header>
        <h2 id={id}>{title}</h2>
        {aside}
      </header>
      {children}
    </section>
  );
}
