import { journalDirectory } from '../../config/paths.ts'
import { labDown, labStatus } from '../../testbed/lab/lab.ts'
import { loadTestbed } from '../../testbed/testbed.ts'
import { describeStep } from '../../undo/steps.ts'
import { makeStandingLab } from '../../vm/standing-lab.ts'
import type { CommandContext, CommandStatus } from '../context.ts'
import { withProgress } from '../progress.ts'

interface LabOptions {
  readonly json?: true | undefined
}

const testbedName = 'lab'

export async function labUpCommand({ terminal, signal }: CommandContext, { json }: LabOptions): Promise<CommandStatus> {
  const testbed = await loadTestbed(testbedName)
  const made = await withProgress(terminal, 'lab', (report) => makeStandingLab(testbed, { signal, onProgress: report }))
  if (json) terminal.json<'lab up'>({ made })
  else terminal.result(made.length === 0 ? 'the lab is up' : `the lab is up; made ${made.join(', ')}`)
  return undefined
}

export async function labDownCommand(
  { terminal, signal }: CommandContext,
  { json }: LabOptions,
): Promise<CommandStatus> {
  const testbed = await loadTestbed(testbedName)
  const removed: string[] = []
  await labDown(testbed, {
    journalDirectory: journalDirectory(),
    signal,
    onStep: ({ step, outcome }) => {
      if (outcome === 'undone') removed.push(describeStep(step))
    },
  })
  if (json) terminal.json<'lab down'>({ removed })
  else terminal.result(removed.length === 0 ? 'the lab is down' : `the lab is down; removed ${removed.join(', ')}`)
  return undefined
}

export async function labStatusCommand(
  { terminal, signal }: CommandContext,
  { json }: LabOptions,
): Promise<CommandStatus> {
  const status = await labStatus(await loadTestbed(testbedName), { signal })
  if (json) terminal.json<'lab status'>(status)
  else {
    terminal.result(`the lab is ${status.state}`)
    for (const { name, there } of status.parts) terminal.result(`  ${there ? 'there  ' : 'missing'}  ${name}`)
  }
  return undefined
}
