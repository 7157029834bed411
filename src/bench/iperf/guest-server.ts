import { VmrError } from '../../errors/vmr-error.ts'
import { throwIfAborted } from '../../shell/abort.ts'
import { ownWords, portHint, type ServerCommand, serverReadyMs, type ThroughputServer } from './throughput.ts'

/**
 * Prints the server's process number once it listens; what it says afterwards goes to a file that has no name any more.
 * With the server's own words it is short enough to be typed; what is longer has to be put into a file first.
 */
const startScript = [
  'l=$(mktemp); "$@" >"$l" 2>&1 </dev/null & p=$!',
  `for i in {1..${serverReadyMs / 100}}; do`,
  'case $(<"$l") in *"Server listening"*) rm "$l"; echo $p; exit;; esac',
  'kill -0 $p || break; sleep .1; done 2>/dev/null',
  'kill $p 2>/dev/null; cat "$l" >&2; rm "$l"; exit 1',
].join('\n')

/** Resolves when the port is free again. */
const stopScript =
  '{ kill $1 || exit 0; for i in {1..40}; do kill -0 $1 || exit 0; sleep .05; done; kill -KILL $1; } 2>/dev/null'

/**
 * Starts a server in a guest and waits until it says that it listens, in one round trip to its console; ending it is
 * another. It needs no record to be taken back by, since it does not outlive its guest, nor that the run. The caller
 * stops it.
 *
 * @throws VmrError MEASUREMENT_FAILED with the server's own words when it does not listen.
 */
export async function startGuestServer({ machine, argv, port, signal }: ServerCommand): Promise<ThroughputServer> {
  const result = await machine.shell.run(['bash', '-c', startScript, 'bash', ...argv], {
    // Beyond the server's own time: the guest's console takes some, too.
    timeoutMs: 2 * serverReadyMs,
    ...(signal === undefined ? {} : { signal }),
  })
  throwIfAborted(signal, `the ${argv[0]} server on ${machine.name}`)
  const process = /^\d+$/.exec(result.stdout.trim())?.[0]
  if (process === undefined) {
    const words = ownWords(result)
    throw new VmrError(
      'MEASUREMENT_FAILED',
      `the ${argv[0]} server on ${machine.name} did not listen on port ${port}: ${words}`,
      portHint(machine, words),
    )
  }
  return { stop: () => machine.shell.run(['bash', '-c', stopScript, 'bash', process]) }
}
