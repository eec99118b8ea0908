"""What a user does on the page, and what he sees."""

import base64
import io

from PIL import Image
from playwright.sync_api import FilePayload, Locator, Page, expect

from tests.server import PORTRAIT

FINDINGS = "#analysis:not([hidden])"


def file_of(content: bytes, name: str = "face.png", kind: str = "image/png") -> FilePayload:
    """A file as Playwright takes it."""
    return {"name": name, "mimeType": kind, "buffer": content}


def portrait_file(name: str = "face.png") -> FilePayload:
    """The portrait as a file."""
    return file_of(PORTRAIT.read_bytes(), name)


def jpeg(image: Image.Image, quality: int = 92) -> bytes:
    """A picture as JPEG."""
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def choose(page: Page, *files: FilePayload) -> None:
    """Choose files."""
    page.set_input_files("#files", list(files))


def give(page: Page, how: str, *files: FilePayload) -> None:
    """Drop or paste files: real ones, in an event as the browser makes it."""
    given = [[base64.b64encode(file["buffer"]).decode(), file["name"], file["mimeType"]] for file in files]
    page.evaluate(
        """([how, given]) => {
          const data = new DataTransfer();
          for (const [content, name, type] of given) {
            const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
            data.items.add(new File([bytes], name, { type }));
          }
          const options = { bubbles: true, cancelable: true };
          const event = how === "drop"
            ? new DragEvent("drop", { ...options, dataTransfer: data })
            : new ClipboardEvent("paste", { ...options, clipboardData: data });
          document.body.dispatchEvent(event);
        }""",
        [how, given],
    )


def wait_for_findings(page: Page, name: str | None = None) -> Locator:
    """Wait until findings are shown, of the photo with a name."""
    if name is not None:
        expect(page.locator("#result-title")).to_have_text(name)
    findings = page.locator(FINDINGS)
    findings.locator(".concern").first.wait_for()
    return findings


def fault(page: Page) -> Locator:
    """The error that is shown in place of findings."""
    return page.locator("#state .fault")


def live(page: Page) -> Locator:
    """What a screen reader was told last."""
    return page.locator("#live")
