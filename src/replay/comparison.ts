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

/** Of one link. What both agree on is let go, but for the last of it: there may be millions. */
interface Track {
  /** What the other side has not done yet, or has done otherwise. */
  readonly recorded: (Moved & { readonly number: number })[]
  readonly replayed: Moved[]
  readonly agreed: Moved[]
  /** By what was recorded. */
  state: string | undefined
  /** The daemon was somewhere else when the recorder joined. */
  outOfStep: boolean
  /**
   * It had failed more often than the replay knows of, so that it waits longer for its next try. They are equal in that when
   * failures are forgotten: when it is new, or the replay's, which had failed since, has none any more.
   */
  otherAttempts: 'not' | 'unseen' | 'seen'
}

const newTrack = (): Track => ({
  recorded: [],
  replayed: [],
  agreed: [],
  state: undefined,
  outOfStep: false,
  otherAttempts: 'not',
})

/** Nothing that follows changes what is to be told of it. */
const isDecided = ({ recorded, replayed }: Track): boolean => recorded.length > 0 && replayed.length > 0

const same = (a: Moved, b: Moved): boolean => a.from === b.from && a.to === b.to && a.event === b.event

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

  const agree = ({ recorded, replayed, agreed }: Track): void => {
    let both = 0
    for (;;) {
      const [ofRecorded, ofReplayed] = [recorded[both], replayed[both]]
      if (ofRecorded === undefined || ofReplayed === undefined || !same(ofRecorded, ofReplayed)) break
      agreed.push(ofReplayed)
      both += 1
    }
    if (both === 0) return
    recorded.splice(0, both)
    replayed.splice(0, both)
    agreed.splice(0, Math.max(0, agreed.length - SHOWN_BEFORE))
  }

  const divergenceOf = (key: LinkKey, track: Track, end: End | null): Divergence | undefined => {
    if (track.outOfStep) return undefined
    const recorded = track.recorded[0] ?? null
    const replayed = track.replayed[0] ?? null
    if (recorded === null && replayed === null) return undefined
    if (recorded === null || replayed === null) {
      if (end === null || !anyRecorded) return undefined
      const isTail = (recorded ?? replayed ?? { t: 0 }).t >= end.t - TAIL_MS
      if (isTail && (replayed !== null ? !end.orderly : false)) return undefined
      // Who joined late does not know when blocked links were tried last.
      if (hasJoined && replayed === null) return undefined
    }
    return { link: key, number: recorded?.number ?? null, recorded, replayed, before: track.agreed }
  }

  return {
    recorded: ({ t, link, from, to, event, reason = event }, number) => {
      anyRecorded = true
      const track = trackOf(link)
      track.state = to
      if (track.outOfStep || isDecided(track)) return
      track.recorded.push({ t, from, to, event, reason, number })
      agree(track)
    },
    replayed: ({ link, from, to, event, reason }, t) => {
      const track = trackOf(link)
      if (track.outOfStep || isDecided(track)) return
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
        if (track.otherAttempts !== 'not' || track.state !== (standing?.state ?? 'released')) continue
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
