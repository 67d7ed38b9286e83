// A button that opens a small panel under itself. Closes on Escape, on a click elsewhere, and when focus leaves.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

interface Props {
  label: ComponentChildren;
  name?: string;
  class?: string;
  align?: "left" | "right";
  disabled?: boolean;
  children: (close: () => void) => ComponentChildren;
}

export function Popover({ label, name, class: kind = "pill", align = "left", disabled = false, children }: Props) {
  const [open, setOpen] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const close = () => {
    setOpen(false);
    button.current?.focus();
  };
  useEffect(() => {
    if (!open) return;
    const outside = (event: Event) => !box.current?.contains(event.target as Node) && setOpen(false);
    document.addEventListener("pointerdown", outside);
    document.addEventListener("focusin", outside);
    return () => {
      document.removeEventListener("pointerdown", outside);
      document.removeEventListener("focusin", outside);
    };
  }, [open]);
  return (
    <div
      class="popover"
      ref={box}
      onKeyDown={(event) => {
        if (event.key !== "Escape" || !open) return;
        event.stopPropagation();
        close();
      }}
    >
      <button ref={button} type="button" class={kind} aria-expanded={open} aria-label={name} title={name} disabled={disabled} onClick={() => setOpen(!open)}>
        {label}
      </button>
      {open && <div class={`popover-panel ${align}`}>{children(close)}</div>}
    </div>
  );
}
