// Stands for make-fetch-happen in the bundle: what tuf-js loads at start and would call only without a fetcher of ours.
export default function fetch() {
  throw new Error('tuf-js was given no fetcher');
}
