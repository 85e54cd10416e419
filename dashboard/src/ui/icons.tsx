// Icons, drawn on a grid of 16. `turns` marks those that point along the text and are mirrored with it.

const PATHS = {
  home: 'M2.5 7.5 8 3l5.5 4.5M4 6.5V13h8V6.5',
  users: 'M6 7.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5ZM1.5 13.5c0-2.5 2-4 4.5-4s4.5 1.5 4.5 4M11 3a2.2 2.2 0 0 1 0 4.2M12 9.8c1.5.5 2.5 1.8 2.5 3.7',
  services: 'M2.5 5 8 2l5.500 3L8 8 2.500 5ZM2.500 8 8 11l5.500-3M2.500 11 8 14l5.500-3',
  hosts: 'M8 14c3.500-3.200 5-5.500 5-7.500a5 5 0 0 0-10 0c0 2 1.500 4.300 5 7.500ZM8 8.300a1.800 1.800 0 1 0 0-3.600 1.800 1.800 0 0 0 0 3.600Z',
  inbounds: 'M8 2.500v8M4.500 7.500 8 11l3.500-3.500M2.500 13.500h11',
  grip: 'M6 4h.01M10 4h.01M6 8h.01M10 8h.01M6 12h.01M10 12h.01',
  nodes: 'M3 2.500h10v4.500H3zM3 9h10v4.500H3zM5.500 4.800h.01M5.500 11.300h.01',
  cluster: 'M8 5.500a1.800 1.800 0 1 0 0-3.500 1.800 1.800 0 0 0 0 3.500ZM3.500 14a1.800 1.800 0 1 0 0-3.500 1.800 1.800 0 0 0 0 3.500ZM12.500 14a1.800 1.800 0 1 0 0-3.500 1.800 1.800 0 0 0 0 3.500ZM7 5.300 4.500 10.500M9 5.300l2.500 5.200M5.300 12.300h5.400',
  mail: 'M2 4h12v8.500H2zM2 4.500l6 4.500 6-4.500',
  admins: 'M8 1.800 13 3.600v4c0 3.200-2 5.400-5 6.600-3-1.200-5-3.400-5-6.600v-4L8 1.800ZM6 8l1.500 1.500L10.200 6.500',
  settings: 'M2 4.500h7M12.500 4.500H14M2 11.500h1.500M7 11.500h7M10.800 6.200a1.700 1.700 0 1 0 0-3.400 1.700 1.700 0 0 0 0 3.400ZM5.200 13.200a1.700 1.700 0 1 0 0-3.400 1.700 1.700 0 0 0 0 3.400Z',
  log: 'M3.500 2.500h9v11h-9zM6 5.500h4M6 8h4M6 10.500h2.500',
  search: 'M7 11.500a4.500 4.500 0 1 0 0-9 4.500 4.500 0 0 0 0 9ZM10.500 10.500l3.500 3.500',
  plus: 'M8 3v10M3 8h10',
  close: 'M4 4l8 8M12 4l-8 8',
  more: 'M3 7.900h.8v.8H3zM7.600 7.900h.8v.8h-.8zM12.200 7.900h.8v.8h-.8z',
  copy: 'M5.500 5.500h8v8h-8zM10.500 5.500v-3h-8v8h3',
  check: 'M3 8.500 6.500 12 13 4.500',
  down: 'M4 6l4 4 4-4',
  up: 'M4 10l4-4 4 4',
  next: 'M6 3.500 10.500 8 6 12.500',
  back: 'M10 3.500 5.500 8l4.500 4.500',
  alert: 'M8 2 14.500 13.500h-13L8 2ZM8 6.500v3M8 11.500h.01',
  info: 'M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12ZM8 7.500v3.500M8 5h.01',
  out: 'M6.500 2.500h-4v11h4M10 5l3 3-3 3M13 8H6',
  fold: 'M2.500 3h11v10h-11zM6.500 3v10',
  columns: 'M2.500 3h11v10h-11zM6.200 3v10M9.800 3v10',
  calendar: 'M2.500 3.500h11v10h-11zM2.500 6.500h11M5.500 2v2.500M10.500 2v2.500',
  refresh: 'M13 8a5 5 0 1 1-1.500-3.500M13 2v3h-3',
  edit: 'M3 13l.7-3L11 2.700l2.300 2.300L6 12.300 3 13Z',
  trash: 'M2.500 4.500h11M6 4.500V2.500h4v2M4 4.500l.7 9h6.600l.7-9',
  print: 'M4.500 6V2.500h7V6M4.500 11.500h-2V6h11v5.500h-2M4.500 9.500h7v4h-7z',
  language: 'M2 4h7M5.500 2.500V4M8 4c-.7 2.800-2.700 5-5.500 6M4 6.500c1 1.800 2.300 2.800 4 3.500M8 14l3-7.500L14 14M9 11.800h4',
} as const;

const TURNING: ReadonlySet<string> = new Set(['next', 'back', 'out', 'fold']);

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg className={TURNING.has(name) ? 'icon turns' : 'icon'} viewBox="0 0 16 16" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}

/** Sarban's mark. */
export function Mark() {
  return (
    <svg viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="7" fill="var(--accent)" />
      <path d="M8 10h16M8 16h11M8 22h16" stroke="var(--on-accent)" strokeWidth="3" strokeLinecap="round" />
      <circle cx="24" cy="16" r="2" fill="var(--on-accent)" />
    </svg>
  );
}
