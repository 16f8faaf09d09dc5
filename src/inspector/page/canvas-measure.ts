/** A browser's own measure of texts: what a canvas would need for them. */
import type { Font, Measure } from './measure.ts'

const FONTS: Readonly<Record<Font, string>> = {
  name: '600 12.5px system-ui, sans-serif',
  small: '11px system-ui, sans-serif',
  code: '11px ui-monospace, monospace',
}

/** Texts repeat a thousand times: each is measured once. */
export const canvasMeasure = (): Measure => {
  const context = document.createElement('canvas').getContext('2d')
  const widths = new Map<string, number>()
  return (text, font) => {
    const id = `${font}\0${text}`
    const known = widths.get(id)
    if (known !== undefined) return known
    if (context === null) return text.length * 7
    context.font = FONTS[font]
    const width = context.measureText(text).width
    widths.set(id, width)
    return width
  }
}
