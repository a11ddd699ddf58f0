"""XMP (ISO 16684-1): how files say that a model made them, and where most formats keep their texts."""

from __future__ import annotations

from html import escape

SOURCE_TYPE = "DigitalSourceType"
"""The keyword of the text that says, as IPTC's property of that name, how a picture came to be."""
MADE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
EDITED = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_OWN = "urn:smd-cli:xmp#"
_LONGEST = 1 << 24  # bytes that are parsed at most


def xmp_packet(source_type: str | None, comment: str = "") -> bytes:
    """Return a packet with a source type (a URI of IPTC's) and smd's comment of one line."""
    values = {"Iptc4xmpExt:DigitalSourceType": source_type, "smd:texts": comment}
    attributes = "".join(f'\n    {name}="{escape(value)}"' for name, value in values.items() if value)
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">\n'
        f' <rdf:RDF xmlns:rdf="{_RDF}">\n'
        f'  <rdf:Description rdf:about="" xmlns:Iptc4xmpExt="{_IPTC}" xmlns:smd="{_OWN}"{attributes}/>\n'
        " </rdf:RDF>\n"
        "</x:xmpmeta>\n"
        '<?xpacket end="r"?>'
    ).encode()


def read_xmp_comment(packet: bytes | str) -> str:
    """Return smd's comment in a packet; empty where there is none, or the packet cannot be trusted.

    Entities and document types, which could make a small packet huge, are not read.
    """
    from defusedxml import DefusedXmlException  # takes time, and few commands read a picture's XMP
    from defusedxml.ElementTree import ParseError, fromstring

    if not packet or len(packet) > _LONGEST:
        return ""
    try:
        root = fromstring(packet, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError):
        return ""
    name = f"{{{_OWN}}}texts"
    # A property is an attribute or an element; programs that write a packet again choose.
    found = (each.get(name) or each.findtext(name) for each in root.iter(f"{{{_RDF}}}Description"))
    return next(filter(None, found), "")
