/**
 * Recorded and replayed transitions side by side, link by link: in which order two links move is chance, how each of them
 * moves is not. Pure. What was recorded before a recorder joined, and what a killed daemon may not have written down any
 * more, is not held against the replay.
 */
import type { LinkTransition } from '../controller/links.ts'
import type { LinkKey } from '../model/link.ts'
import type { LineOf } from '../record/format.ts'
import type { Divergence, Moved } from './contract.ts'

export interface Comparison {
  recorded(line: LineOf<'transition'>, number: number): void
  replayed(transition: LinkTransition, t: number): void
  /** The recording begins here; `standingOf` is the replay's. */
  joined(line: LineOf<'joined'>, standingOf: (key: LinkKey) => Standing | undefined): void
  /** To be told after each step: a link that was not in step may be now. */
  settled(standingOf: (key: LinkKey) => Standing | undefined): void
  /** `end`: the recording is over, and has its last line then; `null`: it goes on. */
  divergences(end: End | null): readonly Divergence[]
}

/** How a link is in the replay. */
export interface Standing {
  readonly state: string
  /** Failures that its next retry takes account of. */
  readonly attempt: number
}

export interface End {
  readonly t: number
  /** The recorder came to an end in good order. */
  readonly orderly: boolean
}

/** What was not written down any more is of the last moments. */
const TAIL_MS = 1000
const SHOWN_BEFORE = 5

interface Track {
  recorded: (Moved & { readonly number: number })[]
  replayed: Moved[]
  /** What both agree on, from the first. */
  agreed: number
  /** The daemon was somewhere else when the recorder joined. */
  outOfStep: boolean
  /**
   * It had failed more often than the replay knows of, so that it waits longer for its next try. They are equal in that when
   * failures are forgotten: when it is new, or the replay's, which had failed since, has none any more.
   */
  otherAttempts: 'not' | 'unseen' | 'seen'
}

const same = (a: Moved, b: Moved): boolean => a.from === b.from && a.to === b.to && a.event === b.event

const newTrack = (): Track => ({
  recorded: [],
  replayed: [],
  agreed: 0,
  outOfStep: false,
  otherAttempts: 'not',
})

export const createComparison = (): Comparison => {
  const tracks = new Map<LinkKey, Track>()
  const late = new Set<Track>()
  let hasJoined = false
  let anyRecorded = false

  const trackOf = (key: LinkKey): Track => {
    const track = tracks.get(key) ?? newTrack()
    tracks.set(key, track)
    return track
  }

  const agree = (track: Track): void => {
    for (;;) {
      const [recorded, replayed] = [track.recorded[track.agreed], track.replayed[track.agreed]]
      if (recorded === undefined || replayed === undefined || !same(recorded, replayed)) return
      track.agreed += 1
    }
  }

  const divergenceOf = (key: LinkKey, track: Track, end: End | null): Divergence | undefined => {
    if (track.outOfStep) return undefined
    const recorded = track.recorded[track.agreed] ?? null
    const replayed = track.replayed[track.agreed] ?? null
    if (recorded === null && replayed === null) return undefined
    if (recorded === null || replayed === null) {
      if (end === null || !anyRecorded) return undefined
      const isTail = (recorded ?? replayed ?? { t: 0 }).t >= end.t - TAIL_MS
      if (isTail && (replayed !== null ? !end.orderly : false)) return undefined
      // Who joined late does not know when blocked links were tried last.
      if (hasJoined && replayed === null) return undefined
    }
    const before = track.replayed.slice(Math.max(0, track.agreed - SHOWN_BEFORE), track.agreed)
    return { link: key, number: recorded?.number ?? null, recorded, replayed, before }
  }

  return {
    recorded: ({ t, link, from, to, event, reason = event }, number) => {
      anyRecorded = true
      const track = trackOf(link)
      track.recorded.push({ t, from, to, event, reason, number })
      agree(track)
    },
    replayed: ({ link, from, to, event, reason }, t) => {
      const track = trackOf(link)
      track.replayed.push({ t, from, to, event, reason })
      agree(track)
    },
    joined: ({ links, attempts = {} }, standingOf) => {
      hasJoined = true
      tracks.clear()
      late.clear()
      for (const [key, state] of Object.entries(links) as [LinkKey, string][]) {
        const standing = standingOf(key)
        const differs = (attempts[key] ?? 0) !== (standing?.attempt ?? 0)
        if (standing?.state === state && !differs) continue
        const track = trackOf(key)
        track.outOfStep = true
        track.otherAttempts = differs ? 'unseen' : 'not'
        late.add(track)
      }
    },
    settled: standingOf => {
      if (late.size === 0) return
      for (const [key, track] of tracks) {
        if (!track.outOfStep) continue
        const standing = standingOf(key)
        if (standing === undefined || (track.otherAttempts === 'seen' && standing.attempt === 0))
          track.otherAttempts = 'not'
        else if (track.otherAttempts === 'unseen' && standing.attempt > 0) track.otherAttempts = 'seen'
        if (track.otherAttempts !== 'not' || track.recorded.at(-1)?.to !== (standing?.state ?? 'released'))
          continue
        tracks.set(key, newTrack())
        late.delete(track)
      }
    },
    divergences: end =>
      [...tracks]
        .flatMap(([key, track]) => divergenceOf(key, track, end) ?? [])
        .sort((a, b) => timeOf(a) - timeOf(b)),
  }
}

const timeOf = ({ recorded, replayed }: Divergence): number =>
  Math.min(recorded?.t ?? Number.POSITIVE_INFINITY, replayed?.t ?? Number.POSITIVE_INFINITY)
