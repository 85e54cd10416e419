// Whether the panel announces the changes of all hosts to this page, and how often screens poll therefore.

let announced = false;

export const live = {
  /** Sets it; returns what it was. */
  set(now: boolean): boolean {
    const was = announced;
    announced = now;
    return was;
  },
};

/** Milliseconds between two reads of what the panel announces. */
export function announcedInterval(): number {
  return announced ? 60_000 : 5_000;
}

/** Milliseconds between two reads of which the panel announces only a part. */
export function partlyAnnouncedInterval(): number {
  return announced ? 15_000 : 5_000;
}
