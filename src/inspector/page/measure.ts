/** How wide a text will be, before it is drawn: layouts need to know. Fonts are those of page.css. */

export type Font = 'name' | 'small' | 'code'

export type Measure = (text: string, font: Font) => number
