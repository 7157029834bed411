import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readLinks } from '../../../src/os/linux/ip-json.ts'
import { localShell } from '../../../src/shell/local.ts'
import { labDown, labPurpose, labUp } from '../../../src/testbed/lab/lab.ts'
import { loadTestbed, type Testbed, withPrefix } from '../../../src/testbed/testbed.ts'
import { type Journal, openJournal } from '../../../src/undo/journal.ts'

/** The lab under names of its own, beside one that a person may have up. */
export async function testTestbed(): Promise<Testbed> {
  return withPrefix(await loadTestbed('lab'), 'vmrt')
}

export interface TestLab {
  readonly testbed: Testbed
  readonly journal: Journal
  readonly journalDirectory: string
  remove(): Promise<void>
}

/** A lab for one test file, with a journal for what the tests change. */
export async function makeTestLab(): Promise<TestLab> {
  const testbed = await testTestbed()
  const stateDirectory = await mkdtemp(join(tmpdir(), 'vmr-lab-'))
  const journalDirectory = join(stateDirectory, 'undo')
  const labJournal = await openJournal({ directory: journalDirectory, purpose: labPurpose(testbed) })
  const remove = async () => {
    await journal.close()
    await labDown(testbed, { journalDirectory, force: true })
    await rm(stateDirectory, { recursive: true })
    assert.deepEqual(await testObjects(), [])
  }
  const journal = await openJournal({ directory: join(stateDirectory, 'test'), purpose: 'a test' })
  try {
    await labUp(testbed, { journal: labJournal })
    await labJournal.keep()
    await labJournal.close()
  } catch (error) {
    await labJournal.keep()
    await labJournal.close()
    await remove()
    throw error
  }
  return { testbed, journal, journalDirectory, remove }
}

/** Names of namespaces and links that the tests made and that are still there. */
export async function testObjects(): Promise<readonly string[]> {
  const { stdout } = await localShell.run(['ip', 'netns', 'list'])
  const namespaces = stdout.split('\n').map((line) => line.split(' ')[0] ?? '')
  const links = (await readLinks(localShell)).map(({ ifname }) => ifname)
  return [...namespaces, ...links].filter((name) => name.startsWith('vmrt'))
}
