// A list to choose from, in groups: searched when it is long, with a box for all of a group.

import { type ReactNode, useEffect, useId, useRef, useState } from 'react';
import { useI18n } from '../i18n/index.tsx';
import { Icon } from './icons.tsx';

export interface Choice {
  id: number;
  /** What is searched and shown. */
  name: string;
  about?: ReactNode;
  group?: string;
}

/** From this many on, a list has a search field. */
const LONG = 8;

export function Choices(props: {
  legend: string;
  choices: Choice[];
  /** How many there are, if not all were loaded. */
  total?: number;
  chosen: number[];
  onChange: (chosen: number[]) => void;
  empty: string;
  hint?: string;
}) {
  const { t } = useI18n();
  const [words, setWords] = useState('');
  const id = useId();
  const { choices, chosen } = props;
  const found = choices.filter((choice) => `${choice.name} ${choice.group ?? ''}`.toLowerCase().includes(words.trim().toLowerCase()));
  const groups = [...new Set(found.map((choice) => choice.group))];
  const set = (ids: number[], on: boolean) => props.onChange(on ? [...new Set([...chosen, ...ids])] : chosen.filter((other) => !ids.includes(other)));
  return (
    <fieldset className="choices">
      <legend>{props.legend}</legend>
      {choices.length === 0 && <p className="soft">{props.empty}</p>}
      {choices.length >= LONG && (
        <span className="search">
          <Icon name="search" />
          <input className="input" type="search" aria-label={t('choices.search', { name: props.legend })} placeholder={t('search')} value={words} onChange={(event) => setWords(event.target.value)}
            onKeyDown={(event) => { if (event.key === 'Enter') event.preventDefault(); }} spellCheck={false} />
        </span>
      )}
      <div className={choices.length >= LONG ? 'scroll' : undefined}>
        {groups.map((group, index) => {
          const members = found.filter((choice) => choice.group === group);
          const lines = members.map((choice) => (
            <label key={choice.id} className="option">
              <input type="checkbox" checked={chosen.includes(choice.id)} onChange={(event) => set([choice.id], event.target.checked)} />
              <span><bdi>{choice.name}</bdi>{choice.about !== undefined && <> <span className="soft">{choice.about}</span></>}</span>
            </label>
          ));
          if (group === undefined) return <div key="">{lines}</div>;
          const on = members.filter((choice) => chosen.includes(choice.id)).length;
          return (
            <div key={group} role="group" aria-labelledby={`${id}-${index}`}>
              <label className="option group">
                <Box checked={on === members.length} partly={on > 0 && on < members.length} onChange={(all) => set(members.map((choice) => choice.id), all)} />
                <bdi id={`${id}-${index}`}>{group}</bdi>
              </label>
              {lines}
            </div>
          );
        })}
        {found.length === 0 && choices.length > 0 && <p className="soft">{t('list.no_match')}</p>}
      </div>
      {props.total !== undefined && props.total > choices.length && <p className="small soft">{t('choices.more', { count: props.total - choices.length })}</p>}
      {props.hint && <p className="small soft">{props.hint}</p>}
    </fieldset>
  );
}

function Box({ checked, partly, onChange }: { checked: boolean; partly: boolean; onChange: (on: boolean) => void }) {
  const box = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (box.current !== null) box.current.indeterminate = partly;
  }, [partly]);
  return <input ref={box} type="checkbox" checked={checked} onChange={(event) => onChange(event.target.checked)} />;
}
