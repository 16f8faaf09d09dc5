/**
 * Which link somebody means: by its key, by a name it has, or by a part of its key. Pure.
 * Promises never to guess: what fits more than one link equally well is given back as a question.
 */
import type { AssignedJson } from '../control/shapes.ts'
import { nearest } from './nearest.ts'

export type FoundLink =
  | { readonly _tag: 'One'; readonly key: string }
  | { readonly _tag: 'Several'; readonly keys: readonly string[] }
  | { readonly _tag: 'None'; readonly near: string | undefined }

type Named = Pick<AssignedJson, 'key' | 'consumer' | 'name' | 'target'>

const namesOf = ({ consumer, name, target }: Named): readonly string[] => [
  name,
  `${consumer}/${name}`,
  target,
  consumer,
]

/** The better a way of naming a link, the earlier it is here; the first by which there is one at all counts. */
const WAYS: readonly ((typed: string, link: Named) => boolean)[] = [
  (typed, { key }) => key === typed,
  (typed, link) => namesOf(link).includes(typed),
  (typed, { key }) => key.includes(typed),
]

export const findLink = (typed: string, links: readonly Named[]): FoundLink => {
  for (const fits of WAYS) {
    const [first, ...others] = links.filter(link => fits(typed, link)).map(({ key }) => key)
    if (first === undefined) continue
    return others.length === 0 ? { _tag: 'One', key: first } : { _tag: 'Several', keys: [first, ...others] }
  }
  return {
    _tag: 'None',
    near: nearest(
      typed,
      links.flatMap(link => [link.key, ...namesOf(link)]),
    ),
  }
}

/** Whether a rejected entry that calls itself so may be the one that was meant. */
export const looksLike = (typed: string, called: string): boolean => {
  const [wanted, name = ''] = [typed.toLowerCase(), called.toLowerCase()]
  return (
    name.includes(wanted) ||
    wanted.includes(name) ||
    nearest(wanted, [name, ...name.split('/')]) !== undefined
  )
}
