// Words and lines of English, whatever they say.

export function list(parts: readonly string[], last = "and"): string {
  if (parts.length <= 1) return parts.join("");
  return `${parts.slice(0, -1).join(", ")} ${last} ${parts.at(-1)}`;
}

/** "download stored" for a group called "download-stored". */
export function groupWords(name: string): string {
  return name.replaceAll(/[-_]/g, " ");
}

export function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** "1 trial", "2 trials". */
export function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

/** A number keeps its unit beside it where lines are broken. */
export function keepTogether(text: string): string {
  return text.replace(
    /(\d) (?=(?:[KMGT]iB|[kMG]?B|GB\/s|s\/GB|s|µs|%|×|cores?|peers?|leechers?|blocks?)(?![\w-]))|(?<=±) (?=\d)|(?<=CPU) (?=s\/GB|µs)|(?<=\d) (?=CPU s\/GB)/g,
    "$1\u00a0",
  );
}

/** `text` in lines of at most `width` characters; those after the first hang below the text of the first. */
export function wrap(text: string, width: number, indent = "", bullet = ""): string {
  const lines: string[] = [];
  let line = indent + bullet;
  const hanging = indent + " ".repeat(bullet === "" ? indent.length : bullet.length);
  for (const word of keepTogether(text).split(" ")) {
    if (line.length + word.length > width && line.trim() !== "") {
      lines.push(line.trimEnd());
      line = hanging;
    }
    line += `${word} `;
  }
  lines.push(line.trimEnd());
  return lines.join("\n").replaceAll("\u00a0", " ");
}
