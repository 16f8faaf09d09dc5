/** The timeline of a recording: where its clock stands, to play, to step, to scrub; above it, when how much happened. */
import { computed } from '@preact/signals'
import { clockTime, durationInWords } from '../shared/words.ts'
import {
  goTo,
  goToTime,
  play,
  playhead,
  playing,
  type Recording,
  recording,
  SPEEDS,
  speed,
  step,
} from './replay.ts'
import { toneOf } from './state-mark.tsx'
import { chosen, position } from './store.ts'

const BINS = 240

interface Bin {
  readonly tones: Readonly<Record<string, number>>
  readonly count: number
}

/** How many transitions fell into each part of the time, by where they led. */
const bins = computed<readonly Bin[]>(() => {
  const current = recording.value
  if (current === null) return []
  const { startedAt, endedAt, entries } = current.timeline
  const span = Math.max(1, endedAt - startedAt)
  const tones = Array.from({ length: BINS }, (): Record<string, number> => ({}))
  for (const { at, kind, to } of entries) {
    if (kind !== 'transition') continue
    const bin = tones[Math.min(BINS - 1, Math.floor(((at - startedAt) / span) * BINS))]
    const tone = toneOf(to)
    if (bin !== undefined) bin[tone] = (bin[tone] ?? 0) + 1
  }
  return tones.map(each => ({ tones: each, count: Object.values(each).reduce((sum, one) => sum + one, 0) }))
})

const TONES = ['mediating', 'injecting', 'pending', 'blocked', 'tearing-down', 'released']
const HEIGHT = 26

const Histogram = () => {
  const most = Math.max(1, ...bins.value.map(({ count }) => count))
  return (
    <svg class="histogram" viewBox={`0 0 ${BINS} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
      {bins.value.map(({ tones, count }, at) => {
        if (count === 0) return null
        const height = Math.max(3, Math.sqrt(count / most) * HEIGHT)
        let y = HEIGHT
        return TONES.map(tone => {
          const share = ((tones[tone] ?? 0) / count) * height
          y -= share
          return share === 0 ? null : (
            <rect key={`${at} ${tone}`} data-tone={tone} x={at} y={y} width="0.85" height={share} />
          )
        })
      })}
    </svg>
  )
}

const MOST_TICKS = 400

/** When the chosen link moved. */
const Ticks = ({ timeline }: Recording) => {
  const link = chosen.value
  const span = Math.max(1, timeline.endedAt - timeline.startedAt)
  // All of them, not only those up to now: they are what one wants to go to.
  const own =
    link === null ? [] : timeline.entries.filter(entry => entry.link === link && entry.kind === 'transition')
  return (
    <div class="ticks" aria-hidden="true">
      {own.slice(0, MOST_TICKS).map(({ n, at, to }) => (
        <i key={n} data-tone={toneOf(to)} style={{ left: `${((at - timeline.startedAt) / span) * 100}%` }} />
      ))}
    </div>
  )
}

const Icon = ({ path }: { readonly path: string }) => (
  <svg viewBox="0 0 16 16" aria-hidden="true">
    <path d={path} />
  </svg>
)

export const TimelineBar = () => {
  const current = recording.value
  if (current === null) return null
  const { timeline, index } = current
  const { startedAt, endedAt } = timeline
  const at = position.value ?? 0
  return (
    <section class="timeline" aria-label="Timeline">
      <div class="transport">
        <button type="button" aria-label="To the beginning" title="To the beginning" onClick={() => goTo(0)}>
          <Icon path="M4 3v10M12.5 3.5L6 8l6.5 4.5z" />
        </button>
        <button
          type="button"
          aria-label="Previous transition"
          title="Previous transition (,)"
          onClick={() => step(-1)}
        >
          <Icon path="M10.5 3.5L5 8l5.5 4.5" />
        </button>
        <button
          type="button"
          class="play"
          aria-label={playing.value ? 'Pause' : 'Play'}
          title="Play or pause (space)"
          onClick={play}
        >
          <Icon path={playing.value ? 'M5 3v10M11 3v10' : 'M4.5 3l8.5 5l-8.5 5z'} />
        </button>
        <button
          type="button"
          aria-label="Next transition"
          title="Next transition (.)"
          onClick={() => step(1)}
        >
          <Icon path="M5.5 3.5L11 8l-5.5 4.5" />
        </button>
        <button type="button" aria-label="To the end" title="To the end" onClick={() => goTo(index.length)}>
          <Icon path="M12 3v10M3.5 3.5L10 8l-6.5 4.5z" />
        </button>
        <select
          aria-label="Speed"
          value={String(speed.value)}
          onChange={event => {
            speed.value = Number(event.currentTarget.value)
          }}
        >
          {SPEEDS.map(each => (
            <option key={each} value={String(each)}>
              {each}×
            </option>
          ))}
        </select>
      </div>
      <div class="scrubber">
        <Histogram />
        <Ticks {...current} />
        <input
          type="range"
          id="scrub"
          aria-label="Time"
          aria-valuetext={clockTime(playhead.value)}
          min={startedAt}
          max={Math.max(endedAt, startedAt + 1)}
          step={1}
          value={playhead}
          onInput={event => {
            playing.value = false
            goToTime(Number(event.currentTarget.value))
          }}
        />
      </div>
      <output class="when">
        <b>{clockTime(playhead.value)}</b>
        <span>
          {durationInWords(playhead.value - startedAt)} of {durationInWords(endedAt - startedAt)}
        </span>
        <span data-position={at}>
          event {at} of {index.length}
          {timeline.cut ? ', cut' : ''}
        </span>
      </output>
    </section>
  )
}
