import { VmrError } from '../../errors/vmr-error.ts'
import type { Evidence } from '../evidence/schema.ts'
import { isOwn, placeOf, type Stress, type StressName, type StressPlan, stressNames } from './stress.ts'
import { stresses } from './stresses/index.ts'

/** Every stress, or those that were named. */
export type WantedStresses = 'all' | readonly StressName[]

/** What becomes of one stress. */
export type PlannedStress = { readonly stress: Stress } & (
  | { readonly impossible: string }
  /** `asks`: what somebody has to agree to first. */
  | { readonly plan: StressPlan; readonly asks: readonly string[] }
)

/** Names between commas. @throws VmrError USAGE for one that there is not. */
export function readStressNames(text: string): readonly StressName[] {
  return text.split(',').map((word) => {
    const name = stressNames.find((each) => each === word.trim())
    if (name !== undefined) return name
    throw new VmrError('USAGE', `there is no stress ${JSON.stringify(word.slice(0, 40))}`, {
      hint: `There are ${stressNames.join(', ')}. The VM’s name goes before --endure.`,
    })
  })
}

/** Of those wanted, the ones that disturb somebody, whatever the VM. */
export function disturbing(wanted: WantedStresses): readonly Stress[] {
  return chosen(wanted).filter(({ disturbs }) => disturbs !== undefined)
}

function chosen(wanted: WantedStresses): readonly Stress[] {
  return stresses.filter(({ name }) => wanted === 'all' || wanted.includes(name))
}

/** Which stresses can run, and what has to be agreed to. Pure. */
export function planEndurance(evidence: Evidence, uri: string, wanted: WantedStresses): readonly PlannedStress[] {
  return chosen(wanted).map((stress) => {
    const plan = stress.plan(evidence, uri)
    if ('impossible' in plan) return { stress, ...plan }
    const foreign = plan.timers.filter((timer) => !isOwn(evidence, timer))
    const places = [...new Set(foreign.map(({ machine, link }) => placeOf(evidence, machine, link)))]
    return {
      stress,
      plan,
      asks: [
        ...(stress.disturbs === undefined ? [] : [stress.disturbs(evidence.vm.name)]),
        ...places.map((place) => `timers of ${place}, which vmr did not make, are shortened for seconds`),
      ],
    }
  })
}
