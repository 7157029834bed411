import { type Connection, connect } from '../libvirt/index.ts'
import { withLibvirt } from './libvirt-failure.ts'

/** Connects to libvirt for the task, and lets go of the connection whatever happens. */
export async function withConnection<T>(
  uri: string,
  task: (connection: Connection) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const connection = await withLibvirt(`connecting to ${uri}`, () =>
    connect(uri, signal === undefined ? {} : { signal }),
  )
  try {
    return await task(connection)
  } finally {
    await connection.close()
  }
}
