/** A text whose addresses can be pressed. */

const ADDRESS = /(https?:\/\/[^\s<>"']*[\w/])/;

/** Pressing an address does not press what is around the text. */
export function Linked({ text }: { text: string }) {
  return text.split(ADDRESS).map((piece, at) =>
    at % 2 === 0 ? (
      piece
    ) : (
      <a
        // biome-ignore lint/suspicious/noArrayIndexKey: the pieces of one text never move
        key={at}
        href={piece}
        target="_blank"
        rel="noopener noreferrer"
        className="underline"
        onClick={(event) => event.stopPropagation()}
      >
        {piece}
      </a>
    ),
  );
}
