"""The rule table: content, images, weight."""

from ftctl.datasets.rules.rule import ERROR, WARNING, Rule

ROWS: dict[str, Rule] = {
    "content": Rule(ERROR, "no content, or null", "write the text, or drop the message"),
    "content/text": Rule(
        "EEEE WWW E EE EE E",
        "the key `text` in place of `content`",
        "rename the key `text` to `content`",
    ),
    "content/refusal": Rule(
        "?--? EEE E ?? EE E", "a refusal without content", "copy the refusal into `content`"
    ),
    "content-null-string": Rule(
        "W--E WWW W WW -- W",
        'the text "null" beside tool calls',
        "write null without quotes",
        certain=True,
    ),
    "empty-content": Rule(
        WARNING, "nothing but white space", "write the text, or drop the example"
    ),
    "empty-content/assistant": Rule(
        "EEEE EWW W EE EE W", "an empty answer", "write the answer, or drop the example"
    ),
    "trailing-space": Rule(
        WARNING,
        "an answer that begins or ends with white space",
        "strip it: the model would learn it",
    ),
    "content-type": Rule(
        ERROR,
        "content that is neither text nor parts",
        "write content as a string (json.dumps for data)",
    ),
    "content-part": Rule(
        ERROR,
        "a part without type or text, or no part at all",
        'write parts as {"type": "text", "text": ...}',
    ),
    "tool-content-type": Rule(
        "E--? --- W ?? -- W",
        "a tool's answer as a list of parts",
        "join the parts into one string",
        certain=True,
        source="an OpenAI job refused with `Input should be a valid string`, 2024 (issue)",
    ),
    "content-parts-local": Rule(
        "---- WWW W -W -- W",
        "text as a list of parts",
        "join the text parts into one string",
        certain=True,
    ),
    "content-parts-local/mixed": Rule(
        "---- WWW W EW -- W",
        "parts in one message and strings in another",
        "join the text parts into one string",
        certain=True,
    ),
    "content-parts-local/image": Rule(
        "---- --- - E- -- -",
        "an image in one message and strings in another",
        "write every message of the example as a list of parts",
        source="file checks of Together's SDK 1.5.35, run",
    ),
    "image-needs-vision": Rule(
        "WEEW WWW W WW WW E",
        "an image, which text models can't see",
        "tune a vision model, or drop the image",
    ),
    "image-role": Rule(ERROR, "an image outside user messages", "put images into user messages"),
    "image-count": Rule(
        "E--- ??? - E? -E E",
        "too many images in an example",
        "keep at most 10 images in an example",
        "10 an example",
    ),
    "image-count/30": Rule(
        "---- --- - -- E- -",
        "too many images for Gemini",
        "keep at most 30 images in an example",
        "30 an example",
    ),
    "image-count/64": Rule(
        "---E --- - -- -- -",
        "too many images for Azure",
        "keep at most 64 images in an example",
        "64 an example",
    ),
    "image-size": Rule(
        "E--E ??? - E? -? E", "an image that is too large", "shrink it below 10 MB", "10 MB"
    ),
    "image-size/20mb": Rule(
        "---- --- - -- E- -",
        "an image that is too large for Gemini",
        "shrink it below 20 MB",
        "20 MB",
    ),
    "image-format": Rule(
        "E--E ??? - EE EE E", "an image of an odd type", "use JPEG, PNG or WEBP", "JPEG, PNG, WEBP"
    ),
    "image-format/gif": Rule(
        "E--E ??? - EE E- E", "an image of the type GIF", "use JPEG or PNG", "JPEG, PNG, WEBP"
    ),
    "image-format/webp": Rule(
        "---- --- - -E -? -", "an image of the type WEBP", "use JPEG or PNG", "JPEG, PNG"
    ),
    "image-source": Rule(
        "E--E ??? - EE EE E",
        "an image from elsewhere than https:// or a data: URL",
        "give an https:// or a data: URL",
    ),
    "image-source/https": Rule(
        "---- --- - EE -E -",
        "an image by https://",
        "give a data: URL; Bedrock wants s3:// in the job's bucket",
    ),
    "image-source/data": Rule(
        "---- --- - -- ?E -",
        "an image in the row itself",
        "put it where the vendor reads it: gs:// (Gemini), s3:// (Bedrock)",
    ),
    "image-source/gs": Rule(
        "E--E ??? - EE -E E", "an image by gs://", "give an https:// or a data: URL"
    ),
    "image-source/s3": Rule(
        "E--E ??? - EE E- E", "an image by s3://", "give an https:// or a data: URL"
    ),
    "image-skipped": Rule(
        "W--W --- - -- -- -",
        "an image for which the vendor leaves out the row without a word, as far as the row shows: "
        "a link that nobody else can open or that runs out; a question about who somebody is, "
        "about children, faces or a CAPTCHA",
        "put the image into the row (a data: URL), or leave the example out yourself; pictures of "
        "people are left out too, and only looking at them tells",
        source="vision guides; what a picture shows and whether a link is dead isn't looked at",
    ),
    "audio": Rule("EEEE E-- E EE -E E", "audio", "write down what is said, or drop the example"),
    "audio/prompted": Rule(
        "EEEE EE- E EE -E E",
        "audio beside a system message",
        "write down what is said, or drop the example",
        source="mistral-common: tokenizers before v11 take either one; the columns' for the others",
    ),
    "weight": Rule(
        "E--E EEE W EE -- W",
        "a weight that is neither 0 nor 1",
        "write 0 or 1, or drop the key",
        "0, 1",
    ),
    "weight/string": Rule(
        "E--? WWW W E? -- W",
        "a weight in quotes",
        "write 0 or 1 without quotes",
        "0, 1",
        certain=True,
    ),
    "weight/true": Rule(
        "?--? WWW W -? -- W", "a weight that is true", "write 1", "0, 1", certain=True
    ),
    "weight/odd": Rule(
        "?--? WWW W E? -- W",
        "a weight that is false or null, or on another's message",
        "write 0 or 1, on assistant messages only",
        "0, 1",
        certain=True,
    ),
    "weight/float": Rule(
        "?--? --- W E? -- W",
        "a weight with a decimal point",
        "write 0 or 1 as a whole number",
        "0, 1",
        certain=True,
    ),
    "weight-ignored-local": Rule(
        "---- --- W -- -- W",
        "weight 0, which TRL and AutoTrain ignore",
        "other trainers need the example split at this message",
    ),
    "no-trained-token": Rule(
        WARNING,
        "an example of which nothing is trained on",
        "give one assistant message weight 1, or drop the example",
    ),
}
